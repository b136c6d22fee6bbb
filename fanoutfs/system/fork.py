"""Start a process or a thread; the first steps of a forked process."""

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator

from fanoutfs.errors import UnusableError

NO_MORE = (
    "no further process or thread can be started here; end some programs, or raise the limit: ulimit -u, "
    "ulimit -v, or TasksMax= of the service (pids.max of the cgroup)"
)

PR_SET_PDEATHSIG = 1
"""linux/prctl.h"""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


@contextlib.contextmanager
def starting() -> Iterator[None]:
    """Start a process or a thread in the with statement; raise UnusableError if it would be one too many."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.ENOMEM):
            raise
        raise UnusableError(NO_MORE) from error
    except RuntimeError as error:
        # So threading reports the same.
        raise UnusableError(NO_MORE) from error


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
