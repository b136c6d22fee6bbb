"""From the command ``mount`` to a served mount: two processes, one of which stays."""

import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import trio

from fanoutfs.errors import FanoutError, UnusableError
from fanoutfs.mounting import helper, logs, mountpoint
from fanoutfs.mounting.claim import Claim
from fanoutfs.mounting.helper import Line
from fanoutfs.mounting.options import mount_options
from fanoutfs.mounting.session import Session
from fanoutfs.settings import Settings
from fanoutfs.source.contract import Source
from fanoutfs.source.positioned import PositionedSource

log = logging.getLogger(__name__)

SWITCH_SECONDS = 0.0005
"""How long the producer's thread waits for the interpreter before it insists. With Python's 5 ms it spent
most of a fast source's time waiting; the event loop gives the interpreter up for microseconds only."""


def mount(settings: Settings, *, foreground: bool) -> str | None:
    """Mount, and return once the mount answers (leaving a daemon) or, in the foreground, once it has ended.

    Gives the name of the log file where the user could not know it. Raises UsageError or UnusableError;
    nothing is left mounted then.
    """
    mount_options(settings, settings.source)
    point = mountpoint.absolute(settings.mountpoint)
    mountpoint.prepare(point)
    point = point.resolve()
    if settings.log is not None and settings.log.absolute().is_relative_to(point):
        raise UnusableError(f"--log {settings.log} lies inside the mount; name a file elsewhere")
    source = PositionedSource.open(settings.source)
    if Path(source.path).is_relative_to(point):
        source.close()
        raise UnusableError(f"the source {settings.source} lies inside the mount point; mount elsewhere")
    server_line, helper_line = helper.lines()
    if foreground:
        _in_foreground(settings, source, point, server_line, helper_line)
        return None
    if os.fork() == 0:
        helper_line.close()
        _be_daemon(settings, source, point, server_line)
    server_line.close()
    source.close()
    return helper.see_it_answer(helper_line, point)


def _in_foreground(
    settings: Settings, source: Source, point: Path, server_line: Line, helper_line: Line
) -> None:
    child = os.fork()
    if child == 0:
        server_line.close()
        try:
            helper.see_it_answer(helper_line, point)
        except FanoutError:
            # The server knows, and says so.
            os._exit(1)
        os._exit(0)
    helper_line.close()
    logs.configure(settings.log, foreground=True)
    # A working directory inside the mount would be ours to serve.
    os.chdir("/")
    try:
        _serve(settings, source, point, server_line, answered=lambda: os.waitpid(child, 0))
    finally:
        server_line.close()


def _be_daemon(settings: Settings, source: Source, point: Path, line: Line) -> NoReturn:
    """Serve as a daemon; never returns."""
    code = 1
    try:
        log_path = settings.log and settings.log.absolute()
        os.setsid()
        os.chdir("/")
        os.umask(0o077)
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        told = logs.configure(log_path, foreground=False)
        # libfuse explains itself on stderr, and the user still listens there until the mount answers.
        _serve(settings, source, point, line, told=told, answered=lambda: os.dup2(null, 2))
        code = 0
    except FanoutError as error:
        # Until the mount answers the user listens; after that only the log does.
        if not line.tell(error=str(error), exit_code=error.exit_code):
            log.error("%s", error)  # noqa: TRY400 (one line says it all)
    except BaseException as error:
        log.exception("the daemon ended")
        line.tell(error=f"the daemon ended: {error!r}; its log says more", exit_code=1)
        raise
    finally:
        logging.shutdown()
        os._exit(code)


def _serve(
    settings: Settings,
    source: Source,
    point: Path,
    line: Line,
    *,
    answered: Callable[[], object],
    told: str | None = None,
) -> None:
    """Claim the source, mount, serve; ``answered`` is called once the helper has seen the mount answer."""
    sys.setswitchinterval(SWITCH_SECONDS)
    claim = Claim.take(source.identity, settings.source, point)
    try:
        session = Session(settings, source, point)

        async def ready() -> None:
            line.tell(mounted=True, log=told)
            message = await trio.to_thread.run_sync(line.hear, helper.ANSWER_SECONDS + 5)
            answered()
            said = message.get("answers", "its helper process has ended")
            if said:
                raise UnusableError(f"{point} does not answer: {said}")
            log.info(
                "%s is mounted on %s: %d bytes, ring of %d blocks of %d bytes",
                source.path, point, source.size, session.ring.rules.slots, settings.block)  # fmt: skip

        trio.run(session.serve, ready)
    finally:
        claim.release()
        source.close()
