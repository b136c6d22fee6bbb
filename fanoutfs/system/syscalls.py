"""Two system calls that Python 3.11 does not have.

``os.posix_fallocate`` is different: where a file system can't preallocate, glibc writes a byte into every
block instead, which on a stick takes as long as the copy. ``fallocate`` fails with EOPNOTSUPP.
"""

import ctypes
import errno
import os
from collections.abc import Callable

KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 0x01, 0x02, 0x10
"""linux/falloc.h"""

WAIT_BEFORE, WRITE, WAIT_AFTER = 1, 2, 4
"""linux/fs.h, SYNC_FILE_RANGE_…"""

UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EPERM})
"""The errors of ``fallocate`` where it is not supported; EINVAL: a disk's sectors are larger than a page;
EPERM: a system call filter forbids it."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_long, ctypes.c_long, ctypes.c_uint)


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """Preallocate (mode 0) or free ``length`` bytes at ``offset``; see its manual page. Raise OSError."""
    _call(_libc.fallocate, fd, mode, offset, length)


def sync_file_range(fd: int, offset: int, length: int, flags: int) -> None:
    """Start the write-out of dirty pages, or wait for it; see its manual page. Raise OSError.

    This flushes neither metadata nor the disk's cache: nothing is durable before an fsync.
    """
    _call(_libc.sync_file_range, fd, offset, length, flags)


def _call(function: Callable[..., int], *arguments: int) -> None:
    """Call a function, and again after a signal, as Python's own calls do (PEP 475)."""
    while function(*arguments):
        error = ctypes.get_errno()
        if error != errno.EINTR:
            raise OSError(error, os.strerror(error))
