"""The command ``mount``: start a daemon that serves the mount, or have the running producer serve it."""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import attrs
import trio

from fanoutfs.control.client import ControlConnection
from fanoutfs.control.messages import HungUpError
from fanoutfs.engine import daemon, logs
from fanoutfs.engine.descriptors import require_descriptors
from fanoutfs.engine.engine import Engine
from fanoutfs.engine.find import HangUps, claim_or_find
from fanoutfs.engine.lock import ProducerLock
from fanoutfs.errors import FanoutError, UnusableError, UsageError
from fanoutfs.fuse.mount_options import mount_options
from fanoutfs.mounting import readiness
from fanoutfs.mounting.learning import learn_size
from fanoutfs.mounting.place import prepare
from fanoutfs.mounting.service_reports import report, report_joined
from fanoutfs.remote.remote_info import OpenSource
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.resolve import ResolvedSource, resolve
from fanoutfs.remote.source_argument import local_path
from fanoutfs.settings import MountSettings, NetworkSettings, Settings, SourceSettings
from fanoutfs.status.text import printable
from fanoutfs.system import bounded, mountinfo, mountpoint
from fanoutfs.system.fork import starting
from fanoutfs.system.interrupts import default_signals
from fanoutfs.system.pipe import MessagePipe, message_pipes
from fanoutfs.system.process_end import is_reaped
from fanoutfs.system.process_limits import descriptor_limit
from fanoutfs.system.service_manager import ServiceManager, find_service_manager
from fanoutfs.system.undo import undone_on_failure

log = logging.getLogger(__name__)


@attrs.frozen
class Started:
    """What the command reports about a mount that answers."""

    log: str | None = None
    """The path of the log, if the user can't know it."""
    open_to_all: str | None = None
    """A warning that anyone can read the export, or None."""
    url: str | None = None
    """The address of the monitoring page."""
    joined: bool = False
    """A producer that was already running serves the mount, with its own settings."""


def mount(
    source_path: str,
    mountpoint_path: Path,
    settings: Settings,
    mount_settings: MountSettings,
    network: NetworkSettings,
    *,
    keys: RemoteKeys,
    log_path: Path | None,
    foreground: bool,
) -> Started:
    """Mount. Return when the mount answers, leaving a daemon; in the foreground, when the mount has ended.

    Raise UsageError or UnusableError; nothing stays mounted then.
    """
    manager = find_service_manager(os.environ) if foreground else None
    mount_options(mount_settings, source_path)
    require_descriptors(0, descriptor_limit())
    point = mountpoint.normalise(mountpoint_path)
    prepare(point)
    source = resolve(source_path, keys, settings.source)
    if source.warning is not None:
        print(f"fanoutfs: warning: {source.warning}", file=sys.stderr)
    _require_mountable(source, settings.source, point)
    for option, named in (("--log", log_path), ("--mapfile", settings.source.mapfile)):
        if named is not None:
            _require_apart(option, named, point, source)
    path = local_path(source.path)
    if path is not None and Path(path).is_relative_to(point):
        raise UnusableError(f"the source {source_path} lies inside the mount point; mount elsewhere")
    hang_ups = HangUps(source_path)
    while True:
        found = claim_or_find(source.identity, source_path)
        if isinstance(found, ControlConnection):
            with contextlib.closing(found):
                if network.options:
                    raise UnusableError(
                        f"a producer that can't start listening already reads the source {source_path}; "
                        f"mount it without {network.options}, or when that producer has ended"
                    )
                try:
                    part = settings.source.part
                    return _join_producer(found, point, mount_settings, part, manager, foreground=foreground)
                except HungUpError:
                    # The producer was about to end when this process connected.
                    hang_ups.record(found)
                    continue
        opened = _open(source, found, source_path)
        with _services(network, manager) as (services, kept, url):
            if foreground:
                _in_foreground(found, opened, settings, point, mount_settings, log_path, services)
                return Started()
            work = _Work(point, mount_settings)
            pipe, pid = daemon.start(
                found, opened, settings, work.as_daemon, log_path, services=services, kept=kept
            )
        open_to_all = None if network.export is None else network.export.open_to_all
        return Started(log=readiness.wait_until_ready(pipe, point, pid), open_to_all=open_to_all, url=url)


def _open(source: ResolvedSource, claim: ProducerLock, argument: str) -> OpenSource:
    """Open the source, and print what it was taken for; release the lock if it can't be opened."""
    with undone_on_failure(claim.release):
        opened = source.open()
        with undone_on_failure(opened.source.close):
            learn_size(opened.source)
    if (line := opened.taken_for(argument)) is not None:
        print(f"fanoutfs: {printable(line)}", file=sys.stderr)
    return opened


def _require_mountable(source: ResolvedSource, how: SourceSettings, point: Path) -> None:
    """Raise UsageError for a pipe of unknown size, UnusableError for a spool in the mount."""
    if source.once and how.size is None and how.spool is None:
        raise UsageError(
            "the size of a pipe is known only at its end, and a mount shows it: add --size SIZE, or --spool "
            "DIR to read it to its end first"
        )
    if how.spool is not None and how.spool.absolute().is_relative_to(point):
        raise UnusableError(f"--spool {how.spool} lies inside the mount; name a folder elsewhere")


def _require_apart(option: str, named: Path, point: Path, source: ResolvedSource) -> None:
    """Raise UnusableError for a file that is the source, or lies in the mount or where nothing answers."""
    if named.absolute().is_relative_to(point):
        raise UnusableError(f"{option} {named} lies inside the mount; name a file elsewhere")
    mountpoint.require_answer(named)
    path = local_path(source.path)
    if path is not None and Path(path).exists() and named.exists() and named.samefile(path):
        raise UnusableError(f"{option} {named} is the source; name a different file")


@contextlib.contextmanager
def _services(
    network: NetworkSettings, manager: ServiceManager | None
) -> Iterator[tuple[Sequence[daemon.BackgroundTask], Sequence[int], str | None]]:
    """Bind the network services. Yield all background tasks, the descriptors they need, and the page's URL.

    On exit this process closes the descriptors; a daemon that serves them has its own.
    """
    url: str | None = None
    services: list[daemon.BackgroundTask] = []
    kept: list[int] = []
    with contextlib.ExitStack() as opened:
        if network.service is not None:
            from fanoutfs.web.bind_service import open_service  # noqa: PLC0415 (what it needs is large)
            from fanoutfs.web.web_task import serve  # noqa: PLC0415

            service = opened.enter_context(contextlib.closing(open_service(network.service)))
            services.append(partial(serve, service))
            kept.append(service.fileno())
            url = service.url
        if network.export is not None:
            from fanoutfs.nbd.bind_export import bind_export  # noqa: PLC0415
            from fanoutfs.nbd.export_task import export  # noqa: PLC0415

            exported = opened.enter_context(contextlib.closing(bind_export(network.export)))
            services.append(partial(export, exported))
            kept.append(exported.fileno())
        if manager is not None:
            services.append(partial(report, manager))
        yield services, kept, url


def _join_producer(
    producer: ControlConnection,
    point: Path,
    settings: MountSettings,
    part: str,
    manager: ServiceManager | None,
    *,
    foreground: bool,
) -> Started:
    """Request the mount from the running producer; in the foreground, return when it is unmounted."""
    options = list(settings.options)
    producer.request("mount", point=str(point), allow_other=settings.allow_other, options=options, part=part)
    try:
        problem = readiness.probe(point)
        if not problem and mountinfo.mount_at(point) is None:
            problem = f"only in the mount namespace of its producer, process {producer.peer}"
        producer.send("answers", answers=problem)
        readiness.raise_unless_ready(point, problem)
        if manager is not None:
            report_joined(manager, producer)
        if foreground:
            producer.receive()
    except KeyboardInterrupt:
        mountinfo.detach(point, lazy=False)
        if not foreground:
            raise
    return Started(joined=True)


def _in_foreground(
    claim: ProducerLock,
    opened: OpenSource,
    settings: Settings,
    point: Path,
    mount_settings: MountSettings,
    log_path: Path | None,
    services: Sequence[daemon.BackgroundTask],
) -> None:
    server_pipe, checker_pipe = message_pipes()
    with starting():
        child = os.fork()
    if child == 0:
        # Its end is that of the pipe: a signal to the whole process group is for the server.
        default_signals()
        claim.release()
        server_pipe.close()
        try:
            readiness.wait_until_ready(checker_pipe, point, os.getppid())
        except FanoutError:
            # The server reports the error.
            os._exit(1)
        os._exit(0)
    checker_pipe.close()
    logs.configure(log_path, foreground=True)
    # If the working directory were inside the mount, this process would have to serve itself.
    os.chdir("/")
    work = _Work(point, mount_settings)
    try:
        daemon.serve(
            claim,
            opened,
            settings,
            lambda engine: work.mount(engine, server_pipe, None, lambda: let_go(child)),
            services,
        )
    finally:
        server_pipe.close()


def let_go(checker: int) -> None:
    """Reap the child that has checked the mount; one that is stopped must not hold up the server."""
    is_reaped(checker, time.monotonic() + bounded.DYING_SECONDS)


@attrs.frozen
class _Work:
    """The work of an engine that ``mount`` starts."""

    point: Path
    settings: MountSettings

    async def as_daemon(self, engine: Engine, pipe: MessagePipe, log_path: str | None) -> None:
        """Serve the mount; the command's terminal receives stderr until the mount answers."""
        await self.mount(engine, pipe, log_path, daemon.detach_stderr)

    async def mount(
        self, engine: Engine, pipe: MessagePipe, log_path: str | None, answered: Callable[[], object]
    ) -> None:
        """Serve the mount until it ends; ``answered`` is called when the checker has reported."""

        async def ready() -> None:
            pipe.send(mounted=True, log=log_path)
            message = await trio.to_thread.run_sync(pipe.receive, bounded.ANSWER_SECONDS + 5)
            answered()
            problem = message.get("answers", "the process that checks it has ended or is stopped")
            if problem:
                raise UnusableError(f"{self.point} does not answer: {problem}")
            ring = engine.ring
            log.info(
                "%s is mounted on %s: %d bytes, ring of %d blocks of %d bytes",
                engine.source.path, self.point, ring.layout.size, ring.rules.slots, ring.block)  # fmt: skip

        await engine.mount(self.point, self.settings, ready)
