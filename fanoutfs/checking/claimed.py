"""Open a target exclusively, and only if it is still the one that was examined."""

import errno
import fcntl
import os
import struct
from collections.abc import Sequence

import attrs

from fanoutfs.checking.safety import Candidate, RefusedError
from fanoutfs.errors import UnusableError, reason
from fanoutfs.system.identity import identity_of

BLKGETDISKSEQ = 0x80081280
"""_IOR(0x12, 128, __u64) of linux/fs.h: counts the media that a device number has referred to."""


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


def claim_all(candidates: Sequence[Candidate], *, direct: bool) -> list[Claimed]:
    """Open all targets or none; raise RefusedError with a line for each that can't be opened."""
    claimed, lines = [], []
    for candidate in candidates:
        try:
            claimed.append(open_exclusive(candidate, direct=direct))
        except UnusableError as error:
            lines.append(str(error))
    if lines:
        for one in claimed:
            one.undo()
        raise RefusedError(lines)
    return claimed


def open_exclusive(candidate: Candidate, *, direct: bool) -> Claimed:
    """Open a target for exclusive use; raise UnusableError if that fails.

    A disk is opened with O_EXCL, so that the kernel refuses to mount it. Disks and files are locked (flock)
    against other copies, also those that would read them. A new file gets the mode that cp gives (0666
    without the umask). ``direct`` requests O_DIRECT; a file system without it is used without.
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
    try:
        _lock(candidate, fd)
        return Claimed(candidate, fd, direct and _enable_direct(fd), not candidate.exists)
    except BaseException:
        # Also after a signal. A file that was created here stays: another copy has locked it by now.
        os.close(fd)
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


def _lock(candidate: Candidate, fd: int) -> None:
    """Lock a target, and check that the open file is the one that was examined."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UnusableError(
            f"the target {candidate.path} is being read or written by another copy; "
            "wait for it, or choose a different target"
        ) from error
    if candidate.kind == "disk":
        same = identity_of(os.fstat(fd)) == candidate.identity
        if candidate.generation and same:
            same = _generation(fd) in (0, candidate.generation)
    else:
        # Only after locking: another copy may have removed the file that it had created.
        status = os.fstat(fd)
        same = status.st_nlink > 0 and (not candidate.exists or identity_of(status) == candidate.identity)
    if not same:
        raise UnusableError(_changed(candidate))


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
    return UnusableError(f"{name} can't be opened for writing: {reason(error)}; check its rights")
