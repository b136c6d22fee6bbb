"""Two system calls that Python 3.11 has not got.

``os.posix_fallocate`` is not the same: where a file system can't preallocate, glibc writes a byte into every
block instead, which on a stick takes as long as the copy. ``fallocate`` says EOPNOTSUPP.
"""

import ctypes
import errno
import os
from collections.abc import Callable

KEEP_SIZE, PUNCH_HOLE = 0x01, 0x02
"""linux/falloc.h"""

WAIT_BEFORE, WRITE, WAIT_AFTER = 1, 2, 4
"""linux/fs.h, SYNC_FILE_RANGE_…"""

UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL})
"""What ``fallocate`` says where it can't do this; EINVAL on disks whose sectors are larger than a page."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)
_libc.sync_file_range.argtypes = (ctypes.c_int, ctypes.c_long, ctypes.c_long, ctypes.c_uint)


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    """Preallocate (mode 0) or give up ``length`` bytes at ``offset``, see its manual page. Raise OSError."""
    _call(_libc.fallocate, fd, mode, offset, length)


def sync_file_range(fd: int, offset: int, length: int, flags: int) -> None:
    """Start or await the writing out of dirty pages, see its manual page. Raise OSError.

    It flushes neither metadata nor the disk's own cache: nothing is durable before an fsync.
    """
    _call(_libc.sync_file_range, fd, offset, length, flags)


def _call(function: Callable[..., int], *arguments: int) -> None:
    """Call, and again after a signal, as Python does it for its own (PEP 475)."""
    while function(*arguments):
        error = ctypes.get_errno()
        if error != errno.EINTR:
            raise OSError(error, os.strerror(error))
