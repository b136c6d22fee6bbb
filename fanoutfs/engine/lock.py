"""At most one producer per source: a lock that a crash can't leave behind.

The lock is flock on a file named after the source's identity (device number, or device and inode), so that
a different path or link to the source finds the same lock. The kernel releases it when the last process that
holds it ends; a forked child holds it, too. The file is never removed: a lock on a removed file excludes no
other process. The producer's control socket (``control_server.py``) is in the same folder; only the process
that holds the lock creates or removes it.
"""

import fcntl
import os
from pathlib import Path

import attrs

from fanoutfs.system.runtime_dir import runtime_folder


def socket_path(identity: str) -> Path:
    """Return the path of the control socket of a source's producer."""
    return runtime_folder() / f"{identity}.sock"


def identities() -> list[str]:
    """Return the identities of the sources that have a control socket; their producers may have ended."""
    sockets = socket_path("*")
    return sorted(path.name.removesuffix(sockets.suffix) for path in sockets.parent.glob(sockets.name))


@attrs.define(eq=False)
class ProducerLock:
    """The right to be the producer of a source, until ``release`` or the end of its processes."""

    identity: str
    _fd: int

    @classmethod
    def take_nowait(cls, identity: str) -> "ProducerLock | None":
        """Lock a source; return None if a different process holds the lock."""
        path = runtime_folder() / f"{identity}.lock"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return cls(identity, fd)

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd

    def release(self) -> None:
        """Close the lock in this process."""
        os.close(self._fd)
