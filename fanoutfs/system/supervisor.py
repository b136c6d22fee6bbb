"""A process that runs a program for a process that must not fork.

A process that serves a mount holds /dev/fuse, and a child that inherits it leaves readers hanging when the
server dies. So the server forks a supervisor before the mount is made: a process that holds no part of the
mount, and that starts the program, notices its end, and ends it. The two communicate over a message pipe.
When no process holds the other end any more, for whatever reason, the supervisor ends its program and itself.
"""

import logging
import os
import signal
from collections.abc import Callable
from typing import NoReturn, Self

import attrs

from fanoutfs.errors import FanoutError
from fanoutfs.system.fork import close_all_but, lead_session, starting
from fanoutfs.system.interrupts import default_signals
from fanoutfs.system.pipe import MessagePipe, message_pipes
from fanoutfs.system.streams import STANDARD, redirect_to_null

log = logging.getLogger(__name__)

Work = Callable[[MessagePipe], None]
"""What a supervisor does until no process holds the other end of its pipe."""


@attrs.define(eq=False)
class Supervisor:
    """The server's handle of a supervisor."""

    pipe: MessagePipe
    pid: int

    @classmethod
    def fork(cls, work: Work, *kept: int) -> Self:
        """Start a supervisor from a process with one thread; ``kept`` are the descriptors that it needs.

        It has its own session, so Ctrl-C does not reach it, and it outlives its parent if a different process
        holds the pipe by then.
        """
        supervisor_pipe, pipe = message_pipes()
        with starting():
            pid = os.fork()
        if pid == 0:
            _become_supervisor(work, supervisor_pipe, kept)
        supervisor_pipe.close()
        return cls(pipe, pid)

    def fileno(self) -> int:
        """Return the pipe's descriptor; a process that needs the supervisor has to keep it open."""
        return self.pipe.fileno()

    def close(self) -> None:
        """Close the pipe in this process; the supervisor ends when the last process has closed it.

        Does not wait. A process that must know when the supervisor has ended sends a request and waits for
        the reply.
        """
        self.pipe.close()


def _become_supervisor(work: Work, pipe: MessagePipe, kept: tuple[int, ...]) -> NoReturn:
    code = 1
    try:
        lead_session()
        os.chdir("/")
        default_signals()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        close_all_but(pipe.fileno(), *kept)
        redirect_to_null(*STANDARD)
        work(pipe)
        code = 0
    except BaseException as error:
        said = str(error) if isinstance(error, FanoutError) else f"its supervisor failed: {error!r}"
        pipe.send(error=said)
        raise
    finally:
        os._exit(code)
