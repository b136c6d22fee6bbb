"""What a process that was forked has to see to first."""

import ctypes
import os

PR_SET_PDEATHSIG = 1
"""linux/prctl.h"""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


def close_all_but(*kept: int) -> None:
    """Close what the parent had open beyond stderr.

    A target that stays open here is in use for everybody else, and of a pipe or a socket nobody sees the end.
    """
    begin = 3
    for fd in sorted(kept):
        if begin < fd:
            # Never an empty range: closerange(0, 0) of Python 3.11 closes all.
            os.closerange(begin, fd)
        begin = fd + 1
    os.closerange(begin, os.sysconf("SC_OPEN_MAX"))


def die_with_parent(parent: int, signal: int) -> None:
    """Have the kernel send this process a signal when ``parent``, which forked it, ends: prctl(2).

    What it executes is sent it, too. Raises OSError.
    """
    if _libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    if os.getppid() != parent:
        # It ended before it could be noticed.
        os._exit(1)
