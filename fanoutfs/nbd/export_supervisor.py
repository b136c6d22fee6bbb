"""What the supervisor of an export does: nbdkit runs as long as the mount does, started again when it ends.

The listening socket is the supervisor's all the time: who knocks while there is no nbdkit waits in the queue.
Heard on the pipe: ``begin`` with the image's path and its ``description``, then ``end``, or that nobody holds
its other end.
Said: ``ended``, each time that nbdkit has, with how that was, and in how many seconds it comes ``again``.
"""

import os
import select
import shutil
import time
from pathlib import Path

from fanoutfs.errors import UnusableError
from fanoutfs.nbd.nbdkit import TlsOptions, restart_pauses, serving
from fanoutfs.system.child import Child
from fanoutfs.system.pipe import MessagePipe

FIRST = 3
"""Where a program finds the socket that it is handed: sd_listen_fds(3)."""

END_SECONDS = 1.0
"""nbdkit is given so long to end; it has nothing to lose, and waits for clients that take nothing."""


def supervise(pipe: MessagePipe, *, listening: int, secured: TlsOptions) -> None:
    """Supervise nbdkit, which serves the image on a listening socket, until "end" or a closed pipe."""
    if pipe.fileno() == FIRST:
        pipe.move()
    # Here, not in nbdkit's process: there the place may be taken by what its start needs.
    os.dup2(listening, FIRST)
    if listening != FIRST:
        os.close(listening)
    try:
        message = pipe.receive()
        if "begin" in message:
            _supervise(pipe, serving(Path(message["begin"]), secured, message["description"]))
    finally:
        os.close(FIRST)
        if secured.certificates is not None:
            shutil.rmtree(secured.certificates, ignore_errors=True)


def _supervise(pipe: MessagePipe, words: list[str]) -> None:
    back_off = restart_pauses()
    while True:
        began = time.monotonic()
        said = _run(pipe, words)
        if said is None:
            return
        again = back_off.after(time.monotonic() - began)
        pipe.send(ended=said, again=again)
        if select.select([pipe], [], [], again)[0]:
            return


def _run(pipe: MessagePipe, words: list[str]) -> str | None:
    """Run nbdkit until it ends, and give how that was; None when it was told to."""
    try:
        program = Child.start(words, kept=(FIRST,), first=_hand_over)
    except UnusableError as error:
        return str(error)
    try:
        while program.ended is None:
            if program.wait(pipe.fileno()):
                return None
        return f"{_end_of(program.ended)}: {program.said[-1] if program.said else 'it said nothing'}"
    finally:
        program.end(END_SECONDS)


def _hand_over() -> None:
    """Say, in the process that becomes the program, that the socket is for it."""
    os.environ["LISTEN_FDS"] = "1"
    os.environ["LISTEN_PID"] = str(os.getpid())


def _end_of(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
