"""At most one producer per source: a lock that a crash can't leave behind.

The lock is flock on a file named after the source's identity (device number, or device and inode), so that
another path, or a link, finds the same lock. The kernel drops it with the process, however that ends. The
file says who holds it. It is never removed: a lock on a file that is no longer there excludes nobody.
"""

import fcntl
import json
import os
from pathlib import Path
from typing import Self

import attrs

from fanoutfs.errors import UnusableError


def runtime_folder() -> Path:
    """Give, made when missing, this user's folder for locks and logs, which a reboot empties."""
    if os.getuid() == 0:
        folder = Path("/run/fanoutfs")
    elif runtime := os.environ.get("XDG_RUNTIME_DIR"):
        folder = Path(runtime) / "fanoutfs"
    else:
        folder = Path(f"/tmp/fanoutfs-{os.getuid()}")  # noqa: S108 (checked below)
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise UnusableError(f"{folder} is not a folder that only this user can write; remove it")
    return folder


@attrs.define(eq=False)
class Claim:
    """A held lock; ends with ``release`` or with the process."""

    _fd: int

    @classmethod
    def take(cls, identity: str, source: str, mountpoint: Path) -> Self:
        """Claim the source; raises UnusableError naming the mount that has it."""
        path = runtime_folder() / f"{identity}.lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(fd)
            os.close(fd)
            raise UnusableError(
                f"the source {source} is served on {holder} already; read it there, "
                f"or take that down with: fanoutfs umount {holder}"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, json.dumps({"mountpoint": str(mountpoint), "pid": os.getpid()}).encode(), 0)
        return cls(fd)

    def release(self) -> None:
        """Give it up."""
        os.close(self._fd)


def _holder(fd: int) -> str:
    try:
        return str(json.loads(os.pread(fd, 4096, 0))["mountpoint"])
    except (ValueError, KeyError):
        return "a mount that is only just beginning"
