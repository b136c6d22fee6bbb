"""At most one producer per source: a lock that a crash can't leave behind.

The lock is flock on a file named after the source's identity (device number, or device and inode), so that
another path, or a link, finds the same lock. The kernel drops it with the last process that holds it,
however that ends; a fork's child holds it, too. The file is never removed: a lock on a file that is no
longer there excludes nobody. Beside it lies the socket at which the producer is asked (``door.py``); only
who holds the lock makes or removes that.
"""

import fcntl
import os
from pathlib import Path

import attrs

from fanoutfs.system.runtime_dir import runtime_folder


def socket_path(identity: str) -> Path:
    """Give the path of the socket at which the producer of a source is asked."""
    return runtime_folder() / f"{identity}.sock"


@attrs.define(eq=False)
class ProducerLock:
    """The right to be the producer of a source; ends with ``release``, or with the processes that hold it."""

    identity: str
    _fd: int

    @classmethod
    def take_nowait(cls, identity: str) -> "ProducerLock | None":
        """Lock a source; None when another process has it."""
        path = runtime_folder() / f"{identity}.lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return cls(identity, fd)

    def fileno(self) -> int:
        """Give its descriptor."""
        return self._fd

    def release(self) -> None:
        """Let go of it, in this process."""
        os.close(self._fd)
