"""A process that runs programs for one that must not fork.

Whoever serves a mount holds /dev/fuse, and a child that inherits it keeps readers hanging when the server
dies. So before the mount it forks a keeper: a plain process that holds nothing of the mount, and starts, sees
end, and ends the program that is needed beside it. The two talk over a line. When nobody holds the other end
any more, however those processes ended, the keeper ends its program and itself.
"""

import logging
import os
import signal
from collections.abc import Callable
from typing import NoReturn, Self

import attrs

from fanoutfs.system.fork import close_all_but
from fanoutfs.system.pipe import MessagePipe, message_pipes

log = logging.getLogger(__name__)

Work = Callable[[MessagePipe], None]
"""What a keeper does until nobody holds the other end of its line."""


@attrs.define(eq=False)
class Supervisor:
    """The other side's end of the line to a keeper."""

    line: MessagePipe
    pid: int

    @classmethod
    def fork(cls, work: Work, *kept: int) -> Self:
        """Start one, from a process with one thread; ``kept`` are the descriptors that it needs.

        It is in a session of its own: Ctrl-C is not for it, and it outlives its starter if somebody else
        has the line by then.
        """
        keepers_line, line = message_pipes()
        pid = os.fork()
        if pid == 0:
            _be_keeper(work, keepers_line, kept)
        keepers_line.close()
        return cls(line, pid)

    def fileno(self) -> int:
        """Give the line's descriptor, which has to stay open where the keeper is needed."""
        return self.line.fileno()

    def close(self) -> None:
        """Hang up, in this process; the keeper ends with the last who does.

        Doesn't wait: where the last one must know that it has ended it asks it to, and hears its answer.
        """
        self.line.close()


def _be_keeper(work: Work, line: MessagePipe, kept: tuple[int, ...]) -> NoReturn:
    code = 1
    try:
        os.setsid()
        os.chdir("/")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        close_all_but(line.fileno(), *kept)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.close(null)
        work(line)
        code = 0
    except BaseException as error:
        line.send(error=f"its keeper broke: {error!r}")
        raise
    finally:
        os._exit(code)
