"""Checks of a mount point: whether something can be mounted on it, and what is mounted there."""

import errno
import os
from pathlib import Path

from fanoutfs.errors import NotRunningError, UnusableError, reason
from fanoutfs.system.mountinfo import FANOUTFS, Mount, detach, mount_at


def normalise(path: Path) -> Path:
    """Return ``path`` absolute and without links, except for its last part: that may be a dead mount."""
    plain = Path(os.path.abspath(path))  # noqa: PTH100 (no file system access, and Path does not remove "..")
    try:
        return plain.parent.resolve(strict=True) / plain.name if plain.name else plain
    except OSError as error:
        raise UnusableError(f"{path} can't be accessed: {reason(error)}; check its name") from error


def prepare(point: Path) -> None:
    """Check that ``point`` is a folder with nothing mounted on it. Raise UnusableError if it is not.

    A dead fanoutfs mount of this user, whose daemon was killed, is unmounted first. Only statvfs tells that a
    mount is dead: stat still succeeds, from the attributes that the kernel has cached.
    """
    while (mount := mount_at(point)) is not None:
        if mount.kind != FANOUTFS:
            raise UnusableError(
                f"the mount point {point} has {mount.kind} mounted on it; unmount it or name another folder"
            )
        if responds(point):
            raise UnusableError(
                f"{mount.source} is already mounted on {point}; "
                f"use that mount, or unmount it with: fanoutfs umount {point}"
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
        raise UnusableError(f"the mount point {point} does not exist; create it with: mkdir {point}")
    if not point.is_dir():
        raise UnusableError(f"the mount point {point} is not a folder; name an empty folder")
    if not os.access(point, os.W_OK | os.X_OK) and os.getuid() != 0:
        raise UnusableError(f"the mount point {point} is not writable; name a folder that you can write")


def responds(point: Path) -> bool:
    """Return whether the daemon of the mount on ``point`` answers."""
    try:
        os.statvfs(point)
    except OSError as error:
        if error.errno in (errno.ENOTCONN, errno.ECONNABORTED):
            return False
        if error.errno == errno.EACCES:
            return True
        raise
    return True


def require_fanoutfs_mount(point: Path) -> Mount:
    """Return the topmost mount on ``point``. Raise UnusableError if it is not a fanoutfs mount."""
    mount = mount_at(point)
    if mount is None and point.is_symlink():
        mount = mount_at(point.resolve())
    if mount is None or mount.kind != FANOUTFS:
        what = f"has {mount.kind} mounted on it" if mount else "has nothing mounted on it"
        raise NotRunningError(f"{point} {what}, not fanoutfs; mounts are listed by: findmnt -t {FANOUTFS}")
    return mount
