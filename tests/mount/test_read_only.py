"""Nothing in a mount can be changed: EROFS for everybody, root too."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory
from tests.rig.images import assert_same
from tests.rig.mounts import Mount

ATTEMPTS: dict[str, Callable[[Path], object]] = {
    "open for writing": lambda path: os.open(path, os.O_WRONLY),
    "open for both": lambda path: os.open(path, os.O_RDWR),
    "open for appending": lambda path: os.open(path, os.O_WRONLY | os.O_APPEND),
    "open and truncate": lambda path: os.open(path, os.O_WRONLY | os.O_TRUNC),
    "truncate": lambda path: os.truncate(path, 0),
    "unlink": os.unlink,
    "rename": lambda path: path.rename(path.with_name("other")),
    "chmod": lambda path: path.chmod(0o600),
    "chown": lambda path: os.chown(path, 1, 1),
    "touch": os.utime,
    "link": lambda path: os.link(path, path.with_name("other")),
    "set an attribute": lambda path: os.setxattr(path, "user.x", b"y"),
    "create beside": lambda path: os.open(path.with_name("new"), os.O_WRONLY | os.O_CREAT),
    "make a folder beside": lambda path: path.with_name("new").mkdir(),
    "make a link beside": lambda path: path.with_name("new").symlink_to("image"),
    "make a pipe beside": lambda path: os.mkfifo(path.with_name("new")),
}


@pytest.fixture
def mounted(shared: MountFactory, small: Path) -> Mount:
    """Mount a small image."""
    return shared(small, "--ring", "2M")


def test_changes_are_refused(mounted: Mount) -> None:
    """Each way to change a file or its folder fails with EROFS, and the image stays what it was."""
    answers = {}
    for name in ("image", ".fanoutfs/status", ".fanoutfs/head"):
        for what, attempt in ATTEMPTS.items():
            with pytest.raises(OSError) as failure:  # noqa: PT011
                attempt(mounted.point / name)
            answers[name, what] = errno.errorcode[failure.value.errno or 0]
    assert {key: answer for key, answer in answers.items() if answer != "EROFS"} == {}
    assert_same(mounted.source, mounted.image)


def test_the_folders_stay(mounted: Mount) -> None:
    """The control folder can neither be removed nor renamed."""
    with pytest.raises(OSError, match="Read-only"):
        (mounted.point / ".fanoutfs").rmdir()
    with pytest.raises(OSError, match="Read-only"):
        (mounted.point / ".fanoutfs").rename(mounted.point / "other")


def test_a_name_that_is_not_there(mounted: Mount) -> None:
    """Any other name is ENOENT."""
    with pytest.raises(FileNotFoundError):
        (mounted.point / "images").stat()
    with pytest.raises(FileNotFoundError):
        (mounted.point / ".fanoutfs" / "image").stat()
