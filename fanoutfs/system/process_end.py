"""Wait for the end of a process, for a limited time."""

import os
import time
from typing import Self

import attrs

from fanoutfs.system import proc
from fanoutfs.system.ready import readable

LOOK_SECONDS = 0.05

POLL_SECONDS = 0.002


def is_reaped(child: int, until: float) -> bool:
    """Wait for the end of a child process and reap it; return False if it still runs at ``until``.

    That is a time of the monotonic clock. Raise ChildProcessError if it was reaped before.
    """
    return reap(child, until) is not None


def reap(child: int, until: float) -> int | None:
    """As ``is_reaped``; return its status, None if it still runs at ``until``."""
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() > until:
            return None
        time.sleep(POLL_SECONDS)


@attrs.define(eq=False)
class ProcessEnd:
    """The end of a process: by a pidfd, or where that is not permitted by its entry in /proc."""

    pid: int
    _fd: int | None

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return the end of a process. Raise ProcessLookupError if there is no such process here.

        Linux before 5.3 has no pidfd, and the system call filters of some containers forbid it.
        """
        try:
            return cls(pid, os.pidfd_open(pid))
        except ProcessLookupError:
            raise
        except OSError:
            if not proc.state(pid):
                raise ProcessLookupError from None
            return cls(pid, None)

    def within(self, seconds: float) -> bool:
        """Wait for it; return False if it has not come within that time."""
        if self._fd is not None:
            return bool(readable([self._fd], seconds))
        until = time.monotonic() + seconds
        while not proc.has_ended(self.pid):
            if time.monotonic() > until:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    def close(self) -> None:
        """Close the descriptor."""
        if self._fd is not None:
            os.close(self._fd)
