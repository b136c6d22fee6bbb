"""The process that an engine runs in: forked by the command that needs it, and on its own from then on."""

import logging
import os
import resource
import sys
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import trio

from fanoutfs.engine import logs
from fanoutfs.engine.control_server import ControlServer, listen
from fanoutfs.engine.engine import Engine
from fanoutfs.engine.lock import ProducerLock, socket_path
from fanoutfs.errors import FanoutError, UnusableError
from fanoutfs.remote.remote_info import OpenSource
from fanoutfs.settings import Settings
from fanoutfs.system.fork import close_all_but
from fanoutfs.system.pipe import MessagePipe, message_pipes

log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.0005
"""How long the producer's thread waits for the interpreter before it insists. With Python's 5 ms it spent
most of a fast source's time waiting; the event loop gives the interpreter up for microseconds only."""

BackgroundTask = Callable[[Engine], Awaitable[None]]
"""What is served beside an engine, until it ends."""

Work = Callable[[Engine, MessagePipe, str | None], Awaitable[None]]
"""What an engine is started for: gets the line to its starter, and the log's name if that should be told."""


def start(
    claim: ProducerLock,
    opened: OpenSource,
    settings: Settings,
    work: Work,
    log_path: Path | None,
    *,
    services: Sequence[BackgroundTask] = (),
    kept: Sequence[int] = (),
) -> MessagePipe:
    """Fork a daemon that is the source's producer from now on; gives the line to it.

    Lock and source are the daemon's: they are closed here. What it says first is for ``hear_of_start``.
    ``kept`` are the descriptors that ``services`` need.
    """
    server_line, line = message_pipes()
    if os.fork() == 0:
        line.close()
        _be_daemon(claim, opened, settings, work, log_path, server_line, services, kept)
    server_line.close()
    opened.source.close()
    claim.release()
    return line


async def wait_for_users(engine: Engine, line: MessagePipe, told: str | None) -> None:
    """Work: be there for those who come through the door."""
    ring = engine.ring
    log.info(
        "%s has a producer: %d bytes, ring of %d blocks of %d bytes",
        engine.source.path, ring.size, ring.rules.slots, ring.block)  # fmt: skip
    line.send(ready=True, log=told)
    deaf()
    await engine.first_user()


def hear_of_start(line: MessagePipe, what: str) -> dict[str, Any]:
    """Wait until the daemon says that it is ready; raises what ended it: UnusableError or UsageError."""
    message = line.receive()
    if "error" in message:
        error = FanoutError(message["error"])
        error.exit_code = message["exit_code"]  # type: ignore[misc]  # this one's own
        raise error
    if not message:
        raise UnusableError(f"the daemon ended before {what}; its log says why")
    return message


def serve(
    claim: ProducerLock,
    opened: OpenSource,
    settings: Settings,
    work: Callable[[Engine], Awaitable[None]],
    services: Sequence[BackgroundTask] = (),
) -> None:
    """Be the source's producer, in this process, until nobody needs it."""
    sys.setswitchinterval(SWITCH_SECONDS)
    _allow_all_descriptors()
    path = socket_path(claim.identity)
    listener = listen(path)
    try:
        engine = Engine(settings, opened.source, opened.remote)
        beside = [partial(service, engine) for service in services]
        trio.run(engine.run, lambda: work(engine), ControlServer(engine, listener).serve, *beside)
    finally:
        path.unlink(missing_ok=True)
        listener.close()
        claim.release()
        opened.source.close()


def _be_daemon(
    claim: ProducerLock,
    opened: OpenSource,
    settings: Settings,
    work: Work,
    log_path: Path | None,
    line: MessagePipe,
    services: Sequence[BackgroundTask],
    kept: Sequence[int],
) -> NoReturn:
    """Serve as a daemon; never returns."""
    code = 1
    try:
        close_all_but(line.fileno(), claim.fileno(), *opened.source.descriptors(), *kept)
        log_path = log_path and log_path.absolute()
        os.setsid()
        os.chdir("/")
        os.umask(0o077)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        told = logs.configure(log_path, foreground=False)
        serve(claim, opened, settings, lambda engine: work(engine, line, told), services)
        code = 0
    except FanoutError as error:
        # Until the engine is ready the user listens; after that only the log does.
        if not line.send(error=str(error), exit_code=error.exit_code):
            log.error("%s", error)  # noqa: TRY400 (one line says it all)
    except BaseException as error:
        log.exception("the daemon ended")
        line.send(error=f"the daemon ended: {error!r}; its log says more", exit_code=1)
        raise
    finally:
        logging.shutdown()
        os._exit(code)


def _allow_all_descriptors() -> None:
    """Raise the limit of open files as far as may be: each copy takes four here, and shells allow 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def deaf() -> None:
    """Let go of the terminal's stderr: libfuse explains itself there while the user still listens."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 2)
    os.close(null)
