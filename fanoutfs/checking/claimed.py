"""Open a target exclusively, and only if it is still the one that was examined."""

import contextlib
import errno
import fcntl
import os
import struct
import time
from collections.abc import Callable, Sequence

import attrs

from fanoutfs.checking.safety import Candidate, RefusedError
from fanoutfs.errors import UnusableError, reason
from fanoutfs.system import locks
from fanoutfs.system.identity import identity_of
from fanoutfs.system.interrupts import unblocked

BLKGETDISKSEQ = 0x80081280
"""_IOR(0x12, 128, __u64) of linux/fs.h: counts the media that a device number has referred to."""

LOCK_SECONDS = 10.0
"""How long to wait for other programs' locks: udev locks each disk that was just closed while it looks at it,
and partitioning tools lock the disks that they write."""

AGAIN_SECONDS = 0.1


def _ignore(_: str) -> None:
    """Show nothing."""


@attrs.frozen
class Claimed:
    """A target that is open and locked, for reading and writing."""

    candidate: Candidate
    fd: int
    direct: bool
    """Opened with O_DIRECT."""
    made: bool
    """The file was created here."""

    def close(self) -> None:
        """Close the target, which unlocks it."""
        os.close(self.fd)

    def undo(self) -> None:
        """Close the target unwritten; a file that was created for it is removed."""
        if self.made:
            os.unlink(self.candidate.path)  # noqa: PTH108 (its path is text everywhere)
        os.close(self.fd)


def claim_all(
    candidates: Sequence[Candidate], *, direct: bool, show: Callable[[str], None] = _ignore
) -> list[Claimed]:
    """Open all targets or none; raise RefusedError with a line for each that can't be claimed.

    A lock of a different program is waited for, LOCK_SECONDS in all; ``show`` takes the line that says so.
    """
    claimed, lines = [], []
    until = time.monotonic() + LOCK_SECONDS
    with contextlib.ExitStack() as undo:
        for candidate in candidates:
            try:
                claimed.append(open_exclusive(candidate, direct=direct, until=until, show=show))
                undo.callback(claimed[-1].undo)
            except UnusableError as error:
                lines.append(str(error))
        if lines:
            raise RefusedError(lines)
        undo.pop_all()
    return claimed


def open_exclusive(
    candidate: Candidate, *, direct: bool, until: float = 0.0, show: Callable[[str], None] = _ignore
) -> Claimed:
    """Open and lock a target, so that no other program that asks for it alone has it; raise UnusableError.

    A disk is opened O_EXCL: the kernel then refuses to mount it. Both kinds are locked (``system.locks``),
    which keeps other copies away, also those that would read it, and finds a virtual machine that has it.
    A lock that is there already is waited for until the monotonic clock is at ``until``. A new file is made
    with the rights that cp gives (0666 less the umask). Where ``direct`` is asked for and the file system has
    no O_DIRECT, it goes without.
    """
    flags = os.O_RDWR | os.O_CLOEXEC
    if candidate.kind == "disk":
        flags |= os.O_EXCL
    elif not candidate.exists:
        flags |= os.O_CREAT | os.O_EXCL
    try:
        fd = os.open(candidate.path, flags, 0o666)
    except OSError as error:
        raise _refused(candidate, error) from error
    claimed = Claimed(candidate, fd, direct=False, made=not candidate.exists)
    try:
        _lock(claimed, until, show)
    except OSError as error:
        claimed.undo()
        raise UnusableError(f"the target {candidate.path} can't be locked: {reason(error)}") from error
    except BaseException:
        # A file that this made is not removed: a different copy holds it now, or has removed it.
        claimed.close()
        raise
    try:
        return attrs.evolve(claimed, direct=direct and _enable_direct(fd))
    except BaseException:
        # Also after a signal: it is locked, so a file that this made is nobody else's.
        claimed.undo()
        raise


def _enable_direct(fd: int) -> bool:
    """Switch to O_DIRECT if the file system supports it: at open it would create the file, and then fail."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def _lock(claimed: Claimed, until: float, show: Callable[[str], None]) -> None:
    """Lock a target, waiting for other holders while there is time; check that it is what was checked.

    Raise UnusableError, or the OSError of a lock that fails.
    """
    told = False
    while not locks.take_exclusive(claimed.fd):
        left = until - time.monotonic()
        if left <= 0:
            raise UnusableError(_locked(claimed))
        if not told:
            show(f"waiting up to {left:.0f} s for the target {claimed.candidate.path}, {_holders(claimed)}")
            told = True
        # Ctrl-C ends the wait, also where the command has blocked it.
        with unblocked():
            time.sleep(AGAIN_SECONDS)
    if not _is_what_was_checked(claimed):
        raise UnusableError(_changed(claimed.candidate))


def _holders(claimed: Claimed) -> str:
    return f"locked by {locks.holders(claimed.fd) or 'a different program'}"


def _locked(claimed: Claimed) -> str:
    return (
        f"the target {claimed.candidate.path} is being read or written: {_holders(claimed)}; "
        "wait for that to end, or choose a different target"
    )


def _is_what_was_checked(claimed: Claimed) -> bool:
    """Return whether the file or disk that is open, and locked, is the one that was checked."""
    candidate, status = claimed.candidate, os.fstat(claimed.fd)
    if candidate.kind == "disk":
        same = identity_of(status) == candidate.identity
        return same and (not candidate.generation or _generation(claimed.fd) in (0, candidate.generation))
    # Looked at once it is locked: another copy may have removed what it had made.
    named = status.st_nlink > 0 or candidate.unlinked
    return named and (not candidate.exists or identity_of(status) == candidate.identity)


def _generation(fd: int) -> int:
    """Return the count of media; 0 if the kernel has no count (before Linux 5.15)."""
    try:
        return int(struct.unpack("Q", fcntl.ioctl(fd, BLKGETDISKSEQ, bytes(8)))[0])
    except OSError as error:
        if error.errno not in (errno.ENOTTY, errno.EINVAL):
            raise
        return 0


def _changed(candidate: Candidate) -> str:
    return f"the target {candidate.path} was replaced after it was checked; start again"


def _refused(candidate: Candidate, error: OSError) -> UnusableError:
    """Return the error for a target that could not be opened."""
    name = f"the target {candidate.path}"
    if candidate.kind == "disk" and error.errno == errno.EBUSY:
        return UnusableError(
            f"{name} is in use by the system (mounted, or opened exclusively by another program)"
            f"; find that program with: lsof {candidate.path}"
        )
    if not candidate.exists and error.errno == errno.EEXIST:
        return UnusableError(f"{name} was created after it was checked; start again")
    if candidate.exists and error.errno == errno.ENOENT:
        return UnusableError(_changed(candidate))
    if error.errno == errno.ETXTBSY:
        return UnusableError(f"{name} is a program that is running; end it, or choose a different target")
    return UnusableError(f"{name} can't be opened for writing: {reason(error)}; check its rights")
