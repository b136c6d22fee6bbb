"""The first steps of a forked process."""

import contextlib
import ctypes
import os

PR_SET_PDEATHSIG = 1
"""linux/prctl.h"""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


def close_all_but(*kept: int) -> None:
    """Close the descriptors that the parent had open, except stdin, stdout, stderr and ``kept``.

    A target that stayed open here would be busy for other processes, and the other end of a pipe or socket
    would not see it closed.
    """
    stay = {0, 1, 2, *kept}
    # Not up to the limit: the parent may have opened some before it lowered that, and it may be a billion.
    for fd in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 (numbers)
        if fd not in stay:
            # One of them was open for the listing alone.
            with contextlib.suppress(OSError):
                os.close(fd)


def die_with_parent(parent: int, signal: int) -> None:
    """Let the kernel send this process a signal when its parent process ends: prctl(2).

    The setting survives exec. Raise OSError.
    """
    if _libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    if os.getppid() != parent:
        # The parent ended before the call.
        os._exit(1)
