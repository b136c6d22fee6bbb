"""At most one producer per source: a lock that a crash can't leave behind.

The lock is flock on a file named after the source's identity (device number, or device and inode), so that
a different path or link to the source finds the same lock. The kernel releases it when the last process that
holds it ends; a forked child holds it, too. The file is never removed: a lock on a removed file excludes no
other process. The producer's control socket (``control_server.py``) is in the same folder; only the process
that holds the lock creates or removes it.

But others remove it: logind empties a user's folder when the last session ends, while the producer goes on.
And cron has no XDG_RUNTIME_DIR, so that the same user has a different folder there. So the lock is an
abstract socket, too, and so is the control socket: these need no folder. The folder is for processes in a
different network namespace, and for names that another user has taken.
"""

import contextlib
import os
import socket
from pathlib import Path

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.system import locks
from fanoutfs.system.abstract_socket import abstract_names, is_ours, listen_abstract
from fanoutfs.system.runtime_dir import runtime_folder

NAMES = "fanoutfs"
"""The beginning of all abstract names; the user's number and the identity of the source follow."""

CONTROL, LOCK = "/control", "/lock"


def socket_path(identity: str) -> Path:
    """Return the path of the control socket of a source's producer."""
    return runtime_folder() / f"{identity}.sock"


def socket_name(identity: str) -> str:
    """Return the abstract name of the same socket."""
    return f"{_prefix()}{identity}{CONTROL}"


def identities() -> list[str]:
    """Return the identities of the sources that have a control socket; their producers may have ended."""
    sockets = socket_path("*")
    in_folder = {path.name.removesuffix(sockets.suffix) for path in sockets.parent.glob(sockets.name)}
    return sorted(in_folder | set(abstract_names(_prefix(), CONTROL)))


def _prefix() -> str:
    return f"{NAMES}/{os.getuid()}/"


@attrs.define(eq=False)
class ProducerLock:
    """The right to be the producer of a source, until ``release`` or the end of its processes."""

    identity: str
    _fd: int
    _socket: socket.socket | None
    """Listens at the lock's name, to show whose it is; None if another user has taken the name."""

    @classmethod
    def take_nowait(cls, identity: str) -> "ProducerLock | None":
        """Lock a source; return None if a different process holds the lock. Raise UnusableError.

        Where the file system of the folder has no locks, the abstract socket alone is the lock.
        """
        name = f"{_prefix()}{identity}{LOCK}"
        path = runtime_folder() / f"{identity}.lock"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise UnusableError(
                f"the lock {path} can't be made: {reason(error)}; it has to be a file that you can write"
            ) from error
        try:
            is_free = locks.take_alone(fd)
        except OSError as error:
            os.close(fd)
            raise UnusableError(
                f"the lock {path} can't be taken: {reason(error)}; make its folder one that has locks"
            ) from error
        if not is_free:
            os.close(fd)
            return None
        listening = listen_abstract(name, 1)
        if listening is None and is_ours(name):
            os.close(fd)
            return None
        claim = cls(identity, fd, listening)
        claim.sign()
        return claim

    def sign(self) -> None:
        """Write this process's number into the file, for people: nothing of it depends on that."""
        # There may be no room for it.
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    def descriptors(self) -> tuple[int, ...]:
        """Return the descriptors that hold the lock."""
        return (self._fd,) if self._socket is None else (self._fd, self._socket.fileno())

    def release(self) -> None:
        """Close the lock in this process."""
        if self._socket is not None:
            self._socket.close()
        os.close(self._fd)
