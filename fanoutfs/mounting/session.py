"""The life of a mount, from init to unmounted: the tasks that serve it, and how it ends.

It ends in one of three ways. *Unmounted* from outside: the kernel ends the session and the mount is gone.
*Told to*: a signal came; opens are refused, reads that wait are given DRAIN_SECONDS, then EIO, and we
unmount. *Broken*: the session ended though nobody asked for it, which is an error. ``pyfuse3.close`` is
called exactly once; a second call, or ``terminate`` after it, is a crash of the process.
"""

import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import attrs
import pyfuse3
import trio

from fanoutfs.errors import UnusableError
from fanoutfs.monitor.status import render, snapshot
from fanoutfs.mounting import mountpoint
from fanoutfs.mounting.mounts import mount_at
from fanoutfs.mounting.options import mount_options
from fanoutfs.producer import Producer
from fanoutfs.ring.memory import Memory
from fanoutfs.ring.rules import Rules
from fanoutfs.ring.shared import Ring
from fanoutfs.settings import Settings
from fanoutfs.sink import kernel
from fanoutfs.sink.dropbehind import DropBehind
from fanoutfs.sink.filesystem import Filesystem
from fanoutfs.sink.reaper import Reaper
from fanoutfs.source.contract import Source
from fanoutfs.source.rate import Rate
from fanoutfs.statistics import Statistics

log = logging.getLogger(__name__)

MIN_TASKS, MAX_TASKS = 16, 100_000
"""pyfuse3's own limit of 99 tasks would let 99 parked reads keep out everything, RELEASE included."""

DRAIN_SECONDS = 2.0
END_SECONDS = 5.0

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def available_memory() -> int:
    """Give the bytes that the system could hand out without swapping (MemAvailable, proc(5))."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def build_ring(settings: Settings, size: int) -> Ring:
    """Make the ring for an image of ``size`` bytes."""
    rules = Rules(
        blocks=-(-size // settings.block),
        slots=settings.slots(size, available_memory()),
        run=settings.run(),
        patience=settings.patience,
        turn=settings.turn,
        strict=settings.pace == "strict",
    )
    return Ring(size=size, block=settings.block, rules=rules, memory=Memory(rules.slots, settings.block))


@attrs.define(eq=False)
class Session:
    """One mount being served."""

    settings: Settings
    source: Source
    point: Path
    ring: Ring = attrs.field(init=False)
    statistics: Statistics = attrs.field(factory=Statistics, init=False)
    filesystem: Filesystem = attrs.field(init=False)
    drop_behind: DropBehind = attrs.field(factory=DropBehind, init=False)
    told_to_end: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.ring = build_ring(self.settings, self.source.size)
        self.filesystem = Filesystem(ring=self.ring, drop_behind=self.drop_behind, status=self.status)

    def status(self) -> bytes:
        """Render the status document."""
        consumers = [handle.consumer for handle in self.filesystem.readers]
        gauges = {
            "handles": len(consumers),
            "waiting": len(self.ring.waiting()),
            "slots_held": self.ring.rules.held(self.ring.clock()),
            "handler_bugs": self.filesystem.handler_bugs,
        }
        return render(snapshot(self.source, self.statistics, self.ring, consumers, gauges))

    async def serve(self, ready: Callable[[], Awaitable[None]]) -> None:
        """Mount, serve, and unmount; ``ready`` is awaited once the mount can answer.

        Raises UnusableError when it can't be mounted, does not answer, or ends unasked. Nothing is left
        mounted then, nor when this is cancelled.
        """
        options = mount_options(self.settings, self.source.path)
        failed: UnusableError | None = None
        try:
            pyfuse3.init(self.filesystem, str(self.point), options)
        except RuntimeError as error:
            raise UnusableError(_why_not(self.point, options)) from error
        try:
            descriptor = kernel.session_descriptor()
            kernel.never_block(descriptor)
            kernel.read_without_waiting(descriptor)
            async with trio.open_nursery() as nursery:
                self.drop_behind.nursery = nursery
                nursery.start_soon(self._end_on_signal, nursery)
                nursery.start_soon(Producer(self.source, self.ring, self.statistics, self._rate()).run)
                nursery.start_soon(Reaper(self.ring, self.filesystem, self.settings.source_timeout).run)
                nursery.start_soon(self._main, nursery)
                try:
                    await self._tune(descriptor)
                    await ready()
                except UnusableError as error:
                    failed = error
                    nursery.cancel_scope.cancel()
        finally:
            self.drop_behind.descriptor = None
            unasked = not self.told_to_end and failed is None and mount_at(self.point) is not None
            pyfuse3.close(unmount=True)
            self.ring.memory.close()
            if mount_at(self.point) is not None:
                # A connection aborted through fusectl is not unmounted by close().
                mountpoint.detach(self.point, lazy=True)
        if failed is not None:
            raise failed
        if unasked:
            raise UnusableError(f"the kernel ended the mount on {self.point} unasked; was it aborted?")
        log.info("%s is unmounted", self.point)

    def _rate(self) -> Rate:
        limit = self.settings.read_rate
        return Rate() if limit is None else Rate(limit)

    async def _tune(self, descriptor: int) -> None:
        """Tune the kernel's side; after INIT, whose reply sets the read-ahead to what libfuse was offered."""
        await self.filesystem.initialised.wait()
        mount = mount_at(self.point)
        if mount is None:
            raise UnusableError(f"{self.point} was unmounted as soon as it was mounted")
        if not kernel.raise_background(mount.minor):
            self.filesystem.cached_limit = kernel.CACHED_WHERE_UNTUNED
        kernel.raise_read_ahead(mount.major, mount.minor)
        kernel.warn_of_timeouts()
        self.drop_behind.descriptor = descriptor

    async def _main(self, nursery: trio.Nursery) -> None:
        await pyfuse3.main(min_tasks=MIN_TASKS, max_tasks=MAX_TASKS)
        nursery.cancel_scope.cancel()

    async def _end_on_signal(self, nursery: trio.Nursery) -> None:
        with trio.open_signal_receiver(*SIGNALS) as signals:
            async for number in signals:
                if self.told_to_end:
                    log.info("a second signal: not waiting any longer")
                    self.ring.shut()
                    continue
                log.info("%s: taking %s down", signal.Signals(number).name, self.point)
                self.told_to_end = True
                self.filesystem.closing = True
                nursery.start_soon(self._end, nursery)

    async def _end(self, nursery: trio.Nursery) -> None:
        """Give those who wait a moment, then an error; then end the session."""
        with trio.move_on_after(DRAIN_SECONDS):
            await self.ring.nobody_waits()
        self.ring.shut()
        await self.ring.nobody_waits()
        pyfuse3.terminate()
        await trio.sleep(END_SECONDS)
        log.warning("the session has not ended within %g seconds; leaving it", END_SECONDS)
        nursery.cancel_scope.cancel()


def _why_not(point: Path, options: set[str]) -> str:
    """Guess why libfuse could not mount: it gives no reason but on stderr."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse can't be opened; load the module with: modprobe fuse"
    if "allow_other" in options and os.getuid() != 0:
        return f"{point} can't be mounted; --allow-other needs the line user_allow_other in /etc/fuse.conf"
    return f"{point} can't be mounted; libfuse's reason stands above or in the log"
