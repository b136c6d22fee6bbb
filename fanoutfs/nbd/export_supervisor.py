"""What the keeper of an export does: nbdkit runs as long as the mount does, started again when it ends.

The listening socket is the keeper's all the time: who knocks while there is no nbdkit waits in the queue.
Heard on the line: ``begin`` with the image's path and its ``description``, then ``end``, or that nobody holds
its other end.
Said: ``ended``, each time that nbdkit has, with how that was, and in how many seconds it comes ``again``.
"""

import os
import select
import shutil
import time
from pathlib import Path

from fanoutfs.errors import UnusableError
from fanoutfs.nbd.nbdkit import BackOff, TlsOptions, serving
from fanoutfs.system.child import Child
from fanoutfs.system.pipe import MessagePipe

FIRST = 3
"""Where a program finds the socket that it is handed: sd_listen_fds(3)."""

END_SECONDS = 1.0
"""nbdkit is given so long to end; it has nothing to lose, and waits for clients that take nothing."""


def keep(line: MessagePipe, *, listening: int, secured: TlsOptions) -> None:
    """Work of a keeper: nbdkit serves the image on a socket that listens, until told to end or hung up on."""
    if line.fileno() == FIRST:
        line.move()
    # Here, not in nbdkit's process: there the place may be taken by what its start needs.
    os.dup2(listening, FIRST)
    if listening != FIRST:
        os.close(listening)
    try:
        message = line.receive()
        if "begin" in message:
            _supervise(line, serving(Path(message["begin"]), secured, message["description"]))
    finally:
        os.close(FIRST)
        if secured.certificates is not None:
            shutil.rmtree(secured.certificates, ignore_errors=True)


def _supervise(line: MessagePipe, words: list[str]) -> None:
    back_off = BackOff()
    while True:
        began = time.monotonic()
        said = _run(line, words)
        if said is None:
            return
        again = back_off.after(time.monotonic() - began)
        line.send(ended=said, again=again)
        if select.select([line], [], [], again)[0]:
            return


def _run(line: MessagePipe, words: list[str]) -> str | None:
    """Run nbdkit until it ends, and give how that was; None when it was told to."""
    try:
        program = Child.start(words, kept=(FIRST,), first=_hand_over)
    except UnusableError as error:
        return str(error)
    try:
        while program.ended is None:
            if program.wait(line.fileno()):
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
