"""The work of an export's supervisor: run nbdkit as long as the mount lasts, and restart it when it ends.

The supervisor keeps the listening socket: clients that connect while no nbdkit runs wait in its queue.
It receives ``begin`` with the image's path and its ``description``, and ``data``, the path of a list of what
is no hole, or None; it removes that file. Then ``end`` comes, or the end of the pipe.
It sends ``ended``, with the reason, each time nbdkit has ended, and in how many seconds it starts ``again``.
"""

import os
import shutil
import time
from pathlib import Path

from fanoutfs.errors import UnusableError
from fanoutfs.nbd.nbdkit import TlsOptions, restart_pauses, serve_command
from fanoutfs.system.child import Child
from fanoutfs.system.pipe import MessagePipe
from fanoutfs.system.ready import readable

FIRST = 3
"""The descriptor of a socket that is passed to a program: sd_listen_fds(3)."""

END_SECONDS = 1.0
"""How long nbdkit may take to end: it has nothing to save, and it waits for clients that do not read."""


def supervise(pipe: MessagePipe, *, listening: int, tls: TlsOptions) -> None:
    """Supervise nbdkit, which serves the image on a listening socket, until "end" or a closed pipe."""
    if pipe.fileno() == FIRST:
        pipe.move()
    # Here, not in nbdkit's process: there this descriptor may be in use while it is started.
    os.dup2(listening, FIRST)
    if listening != FIRST:
        os.close(listening)
    data: Path | None = None
    try:
        message = pipe.receive()
        if "begin" in message:
            data = message["data"] and Path(message["data"])
            _keep_running(pipe, serve_command(Path(message["begin"]), tls, message["description"], data))
    finally:
        os.close(FIRST)
        if data is not None:
            data.unlink(missing_ok=True)
        if tls.certificates is not None:
            shutil.rmtree(tls.certificates, ignore_errors=True)


def _keep_running(pipe: MessagePipe, argv: list[str]) -> None:
    back_off = restart_pauses()
    while True:
        began = time.monotonic()
        reason = _run(pipe, argv)
        if reason is None:
            return
        again = back_off.after(time.monotonic() - began)
        pipe.send(ended=reason, again=again)
        if readable([pipe.fileno()], again):
            return


def _run(pipe: MessagePipe, argv: list[str]) -> str | None:
    """Run nbdkit until it ends; return the reason, or None if the pipe became readable: it has to end."""
    try:
        program = Child.start(argv, kept=(FIRST,), first=_hand_over)
    except UnusableError as error:
        return str(error)
    try:
        while program.ended is None:
            if program.wait(pipe.fileno()):
                return None
        return f"{_end_of(program.ended)}: {program.last_lines[-1] if program.last_lines else 'no output'}"
    finally:
        program.end(END_SECONDS)


def _hand_over() -> None:
    """Tell the program, in the process that becomes it, that the socket is for it."""
    os.environ["LISTEN_FDS"] = "1"
    os.environ["LISTEN_PID"] = str(os.getpid())


def _end_of(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
