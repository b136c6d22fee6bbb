"""Start a process or a thread; the first steps of a forked process."""

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterator

from fanoutfs.errors import UnusableError, reason

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


def lead_session() -> None:
    """Become the leader of a session without a terminal, in a process that was just forked.

    Raise UnusableError.
    """
    try:
        os.setsid()
    except OSError as error:
        raise _forbidden("setsid", error) from error


def control(option: int, value: int) -> None:
    """Call prctl(2); raise UnusableError."""
    if _libc.prctl(option, value, 0, 0, 0):
        number = ctypes.get_errno()
        raise _forbidden("prctl", OSError(number, os.strerror(number)))


def _forbidden(call: str, error: OSError) -> UnusableError:
    return UnusableError(
        f"no process can be prepared here: {call}(2): {reason(error)}; permit it in the system call filter "
        "of this container or service"
    )


def die_with_parent(parent: int, signal: int) -> None:
    """Let the kernel send this process a signal when its parent process ends: prctl(2).

    The setting survives exec. Raise UnusableError.
    """
    control(PR_SET_PDEATHSIG, signal)
    if os.getppid() != parent:
        # The parent ended before the call.
        os._exit(1)
