"""Whether a folder is fit to be mounted on, and what is mounted there."""

import errno
import os
from pathlib import Path

from fanoutfs.errors import UnusableError, reason
from fanoutfs.system.mountinfo import FANOUTFS, Mount, detach, mount_at


def absolute(path: Path) -> Path:
    """Make ``path`` absolute and free of links, but for its last part: that may be a dead mount."""
    plain = Path(os.path.abspath(path))  # noqa: PTH100 (no look at the file system, and "..": Path has none)
    try:
        return plain.parent.resolve(strict=True) / plain.name if plain.name else plain
    except OSError as error:
        raise UnusableError(f"{path} can't be looked at: {reason(error)}; check its name") from error


def prepare(point: Path) -> None:
    """See to it that ``point`` is a folder with nothing mounted on it; raises UnusableError.

    A dead fanoutfs mount of this user (its daemon was killed) is taken off first. Whether it is dead only
    statvfs tells: stat goes on succeeding from the kernel's memory of the folder.
    """
    while (mount := mount_at(point)) is not None:
        if mount.kind != FANOUTFS:
            raise UnusableError(
                f"the mount point {point} has {mount.kind} mounted on it; unmount it or name another folder"
            )
        if alive(point):
            raise UnusableError(
                f"the mount point {point} serves {mount.source} already; "
                f"use it, or take it down with: fanoutfs umount {point}"
            )
        if mount.user != os.getuid():
            raise UnusableError(
                f"the mount point {point} has a dead mount of user {mount.user}; as root: umount {point}"
            )
        detach(point, lazy=True)
    if point.is_symlink():
        prepare(point.resolve())
        return
    if not point.exists():
        raise UnusableError(f"the mount point {point} is not there; make it with: mkdir {point}")
    if not point.is_dir():
        raise UnusableError(f"the mount point {point} is not a folder; name an empty folder")
    if not os.access(point, os.W_OK | os.X_OK) and os.getuid() != 0:
        raise UnusableError(f"the mount point {point} is not yours to write; name a folder of your own")


def alive(point: Path) -> bool:
    """Say whether the mount on ``point`` has a daemon that answers."""
    try:
        os.statvfs(point)
    except OSError as error:
        if error.errno in (errno.ENOTCONN, errno.ECONNABORTED):
            return False
        if error.errno == errno.EACCES:
            return True
        raise
    return True


def ours(point: Path) -> Mount:
    """Give the fanoutfs mount in sight at ``point``; raises UnusableError when there is none."""
    mount = mount_at(point)
    if mount is None and point.is_symlink():
        mount = mount_at(point.resolve())
    if mount is None or mount.kind != FANOUTFS:
        what = f"has a {mount.kind} mounted on it" if mount else "has nothing mounted on it"
        raise UnusableError(f"{point} {what}, no fanoutfs; mounts are listed by: findmnt -t {FANOUTFS}")
    return mount
