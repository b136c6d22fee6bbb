"""The process that runs an engine: a command forks it, and it outlives the command."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import trio

from fanoutfs.engine import logs
from fanoutfs.engine.control_server import BACKLOG, ControlServer, listen
from fanoutfs.engine.engine import Engine
from fanoutfs.engine.lock import ProducerLock, socket_name, socket_path
from fanoutfs.errors import FanoutError, NoAnswerError, UnusableError
from fanoutfs.remote.remote_info import OpenSource
from fanoutfs.settings import Settings
from fanoutfs.system.abstract_socket import listen_abstract
from fanoutfs.system.confinement import confine
from fanoutfs.system.fork import close_all_but, lead_session, starting
from fanoutfs.system.interrupts import ENDS, default_signals
from fanoutfs.system.pipe import MessagePipe, message_pipes
from fanoutfs.system.proc import why_silent
from fanoutfs.system.ready import readable
from fanoutfs.system.streams import redirect_to_null

log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.0005
"""How long the producer's thread waits for the interpreter lock before it requests a switch. With Python's
5 ms it spent most of a fast source's time waiting: the event loop releases the lock for only microseconds."""

START_SECONDS = 60.0
"""How long a daemon may take to begin. Asking a different computer where it reads takes half of it."""

THREADS = 4
"""How many threads of an engine work at the same time: one reads the source, one checks digests, one notifies
the kernel, and one waits for the process that checks a new mount."""

BackgroundTask = Callable[[Engine], Awaitable[None]]
"""A service that runs in the background of an engine until the engine ends."""

Work = Callable[[Engine, MessagePipe, str | None], Awaitable[None]]
"""What an engine is started for. Its arguments: the engine, the pipe to the command, and the path of the log
if the user can't know it."""


def start(
    claim: ProducerLock,
    opened: OpenSource,
    settings: Settings,
    work: Work,
    log_path: Path | None,
    *,
    services: Sequence[BackgroundTask] = (),
    kept: Sequence[int] = (),
) -> tuple[MessagePipe, int]:
    """Fork a daemon that becomes the source's producer; return the pipe to it, and its process.

    The daemon takes over lock and source; they are closed here. Its first message is for ``receive_start``.
    ``kept`` are the descriptors that ``services`` need.
    """
    log_path = log_path and log_path.absolute()
    server_pipe, pipe = message_pipes()
    with starting():
        pid = os.fork()
    if pid == 0:
        pipe.close()
        _be_daemon(claim, opened, settings, work, log_path, server_pipe, services, kept)
    server_pipe.close()
    opened.source.close()
    claim.release()
    return pipe, pid


async def wait_for_users(engine: Engine, pipe: MessagePipe, log_path: str | None) -> None:
    """Work: serve clients of the control socket."""
    ring = engine.ring
    log.info(
        "%s has a producer: %d bytes, ring of %d blocks of %d bytes",
        engine.source.path, ring.layout.size, ring.rules.slots, ring.block)  # fmt: skip
    pipe.send(ready=True, log=log_path)
    detach_stderr()
    await engine.first_user()


def receive_start(pipe: MessagePipe, what: str, pid: int) -> dict[str, Any]:
    """Wait until the daemon, process ``pid``, is ready, and return its message.

    Raise the error that ended the daemon: UnusableError or UsageError; NoAnswerError after START_SECONDS.
    """
    if not readable([pipe.fileno()], START_SECONDS):
        raise NoAnswerError(
            f"the daemon has been silent for {START_SECONDS:g} seconds before {what}: {why_silent(pid)}"
        )
    message = pipe.receive()
    if "error" in message:
        error = FanoutError(message["error"])
        error.exit_code = message["exit_code"]  # type: ignore[misc]  # of this instance
        raise error
    if not message:
        raise UnusableError(f"the daemon ended before {what}; see its log")
    return message


def serve(
    claim: ProducerLock,
    opened: OpenSource,
    settings: Settings,
    work: Callable[[Engine], Awaitable[None]],
    services: Sequence[BackgroundTask] = (),
) -> None:
    """Be the source's producer, in this process, until it has no more users."""
    confine()
    claim.sign()
    sys.setswitchinterval(SWITCH_SECONDS)
    # Until the engine listens to them: one that came before must not be lost, nor end it half made.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    path = socket_path(claim.identity)
    listeners = [listen(path)]
    if (abstract := listen_abstract(socket_name(claim.identity), BACKLOG)) is not None:
        listeners.append(abstract)
    try:
        _require_threads()
        engine = Engine(settings, opened.source, opened.remote, opened.only, opened.watch)
        tasks = [partial(service, engine) for service in services]
        trio.run(engine.run, lambda: work(engine), ControlServer(engine, listeners).serve, *tasks)
    finally:
        path.unlink(missing_ok=True)
        for listener in listeners:
            listener.close()
        claim.release()
        opened.source.close()


def _require_threads() -> None:
    """Start the threads that the engine will need; trio keeps idle ones for ten seconds.

    Raise UnusableError. Without the first of them, a copy would fail when its target is already opened.
    """
    enough = threading.Event()
    try:
        with starting():
            for _ in range(THREADS):
                trio.lowlevel.start_thread_soon(enough.wait, lambda _outcome: None)
    finally:
        enough.set()


def _be_daemon(
    claim: ProducerLock,
    opened: OpenSource,
    settings: Settings,
    work: Work,
    log_path: Path | None,
    pipe: MessagePipe,
    services: Sequence[BackgroundTask],
    kept: Sequence[int],
) -> NoReturn:
    """Become a daemon and serve; never return."""
    code = 1
    try:
        close_all_but(pipe.fileno(), *claim.descriptors(), *opened.source.descriptors(), *kept)
        lead_session()
        os.chdir("/")
        os.umask(0o077)
        default_signals()
        redirect_to_null(0, 1)
        new_log = logs.configure(log_path, foreground=False)
        serve(claim, opened, settings, lambda engine: work(engine, pipe, new_log), services)
        code = 0
    except FanoutError as error:
        # Until the engine is ready the command reports the error; later only the log does.
        if not pipe.send(error=str(error), exit_code=error.exit_code):
            log.error("%s", error)  # noqa: TRY400 (the message is enough)
    except BaseException as error:
        if logging.getLogger().handlers:
            # Without a log the traceback would go to the terminal.
            log.exception("the daemon ended")
        pipe.send(error=f"the daemon ended: {error!r}; see its log", exit_code=1)
        raise
    finally:
        logging.shutdown()
        os._exit(code)


def detach_stderr() -> None:
    """Redirect stderr to /dev/null. Until then libfuse's messages reach the user's terminal."""
    redirect_to_null(2)
