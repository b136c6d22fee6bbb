"""What is mounted on a mount point, and whether it answers."""

import errno
import os
from functools import partial
from pathlib import Path

from fanoutfs.errors import NoAnswerError, NotRunningError, UnusableError, reason
from fanoutfs.system import bounded
from fanoutfs.system.mountinfo import FANOUTFS, Mount, mount_at
from fanoutfs.system.paths import find


def normalise(path: Path) -> Path:
    """Return ``path`` absolute and without links, without touching a fanoutfs mount.

    Raise UnusableError; NoAnswerError when the file system that it lies in does not answer.
    """
    return locate(path)[0]


def locate(path: Path) -> tuple[Path, Mount | None]:
    """As ``normalise``; return the fanoutfs mount that ``path`` is or lies in, too."""
    try:
        place, mount = find(str(path))
    except OSError as error:
        raise UnusableError(f"{path} can't be accessed: {reason(error)}; check its name") from error
    return Path(place), mount


def responds(point: Path) -> bool:
    """Return whether the daemon of the mount on ``point`` lives. Raise TimeoutError if it does not answer.

    Only statvfs tells: stat still succeeds, from the attributes that the kernel has cached.
    """
    try:
        bounded.call_within(bounded.ANSWER_SECONDS, partial(os.statvfs, point))
    except TimeoutError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOTCONN, errno.ECONNABORTED):
            return False
        if error.errno == errno.EACCES:
            return True
        raise
    return True


def require_answer(path: Path) -> None:
    """Raise NoAnswerError if what ``path`` lies in does not answer, UnusableError if it can't be followed."""
    _, mount = locate(path)
    if mount is None:
        return
    try:
        responds(Path(mount.point))
    except TimeoutError as error:
        raise NoAnswerError(
            f"{path} does not answer: the daemon of the mount on {mount.point} has been silent for "
            f"{bounded.ANSWER_SECONDS:g} seconds; take the mount down with: umount -l {mount.point}"
        ) from error


def require_fanoutfs_mount(point: Path) -> Mount:
    """Return the topmost mount on ``point``. Raise UnusableError if it is not a fanoutfs mount."""
    mount = mount_at(point)
    if mount is None or mount.kind != FANOUTFS:
        what = f"has {mount.kind} mounted on it" if mount else "has nothing mounted on it"
        raise NotRunningError(f"{point} {what}, not fanoutfs; mounts are listed by: findmnt -t {FANOUTFS}")
    return mount
