"""The folder to mount on: whether something can be mounted there."""

import os
from pathlib import Path

from fanoutfs.engine.silence import is_alive
from fanoutfs.errors import UnusableError
from fanoutfs.system.mountinfo import FANOUTFS, detach, mount_at


def prepare(point: Path) -> None:
    """Check that ``point`` is a folder with nothing mounted on it. Raise UnusableError if it is not.

    A dead fanoutfs mount of this user, whose daemon was killed, is unmounted first.
    """
    while (mount := mount_at(point)) is not None:
        if mount.kind != FANOUTFS:
            raise UnusableError(
                f"the mount point {point} has {mount.kind} mounted on it; unmount it or name another folder"
            )
        if is_alive(point):
            raise UnusableError(
                f"{mount.source} is already mounted on {point}; "
                f"use that mount, or unmount it with: fanoutfs umount {point}"
            )
        if mount.user != os.getuid():
            raise UnusableError(
                f"the mount point {point} has a dead mount of user {mount.user}; as root: umount {point}"
            )
        detach(point, lazy=True)
    if not point.exists():
        raise UnusableError(f"the mount point {point} does not exist; create it with: mkdir {point}")
    if not point.is_dir():
        raise UnusableError(f"the mount point {point} is not a folder; name an empty folder")
    if not os.access(point, os.W_OK | os.X_OK) and os.getuid() != 0:
        raise UnusableError(f"the mount point {point} is not writable; name a folder that you can write")
