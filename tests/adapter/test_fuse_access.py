"""What a process has for a FUSE mount, as read from this machine and from files that stand for it."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from fanoutfs.errors import NoAnswerError
from fanoutfs.system import fuse_access
from tests.rig.hanging import stop_here


@pytest.mark.mount
def test_this_machine_can_mount() -> None:
    """Where the other tests mount, nothing is missing."""
    access = fuse_access.fuse_access()

    assert (None, True, True) == (access.error, access.is_device, access.kernel)
    assert access.may_mount or (access.may_gain and access.helper_is_privileged)


def test_no_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is that of the system."""
    monkeypatch.setattr(fuse_access, "FUSE", tmp_path / "fuse")

    assert errno.ENOENT == fuse_access.fuse_access().error


@pytest.mark.parametrize("path", ["/dev/null", "file"])
def test_a_different_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """It can be opened, and is none of FUSE."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(fuse_access, "FUSE", tmp_path / path)
    access = fuse_access.fuse_access()

    assert (None, False) == (access.error, access.is_device)


@pytest.mark.parametrize("mode", [0o755, 0o4755])
def test_fusermount3_without_its_setuid_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int
) -> None:
    """A copy of a program, or an archive that is unpacked by a user, has none."""
    (tmp_path / "fusermount3").touch()
    (tmp_path / "fusermount3").chmod(mode)
    monkeypatch.setenv("PATH", str(tmp_path))
    access = fuse_access.fuse_access()
    counts = not os.statvfs(tmp_path).f_flag & os.ST_NOSUID

    assert str(tmp_path / "fusermount3") == access.helper
    assert (mode == 0o4755 and counts) == access.helper_is_privileged


def test_a_folder_of_path_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """That it can't be looked for is one line; who can mount without it does so."""
    monkeypatch.setattr(shutil, "which", lambda _name: stop_here())
    monkeypatch.setattr(fuse_access, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(fuse_access, "may_mount", lambda: True)
    assert fuse_access.fuse_access().helper is None
    monkeypatch.setattr(fuse_access, "may_mount", lambda: False)
    with pytest.raises(NoAnswerError, match=r"^fusermount3 can't be looked for: .* out of PATH$"):
        fuse_access.fuse_access()


def test_no_fusermount3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes with a package."""
    monkeypatch.setenv("PATH", str(tmp_path))
    access = fuse_access.fuse_access()

    assert (None, False) == (access.helper, access.helper_is_privileged)


@pytest.mark.parametrize(
    ("content", "shared"),
    [
        (None, False),
        (b"# user_allow_other\n", False),
        (b"mount_max = 9\n user_allow_other \n", True),
        (b"user_allow_other", True),
    ],
)
def test_what_users_may_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, shared: bool
) -> None:
    """A line of the configuration, unless it is commented out."""
    if content is not None:
        (tmp_path / "fuse.conf").write_bytes(content)
    monkeypatch.setattr(fuse_access, "FUSE_CONF", tmp_path / "fuse.conf")

    assert shared == fuse_access.fuse_access().all_may_share
