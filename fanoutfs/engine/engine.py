"""The engine connects the producer, its consumers and the ring, and decides when they end.

There is one engine per source. Consumers join through a mount or the control socket (``control_server.py``).
The engine runs while it has a mount or a client that stays; one that was started for a copy ends with the
last of them. A signal ends it: it refuses new consumers, lets waiting reads finish for DRAIN_SECONDS, fails
those that remain, and unmounts.
"""

import contextlib
import itertools
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import attrs
import trio

from fanoutfs.digests.digest_source import DigestSource
from fanoutfs.digests.slot_cache import SlotDigests
from fanoutfs.engine.build_ring import build_ring
from fanoutfs.engine.map_task import MapTask
from fanoutfs.engine.remains import where_served
from fanoutfs.engine.snapshot import ReaderStatus, render, snapshot
from fanoutfs.engine.source_watch import SourceWatch
from fanoutfs.engine.starting_line import StartingLine
from fanoutfs.errors import FanoutError, UnusableError, reason
from fanoutfs.fuse.session import Session
from fanoutfs.layout import Only
from fanoutfs.producer import Producer
from fanoutfs.remote.remote_info import RemoteInfo
from fanoutfs.remote.remote_verification import RemoteVerification
from fanoutfs.ring.ring import Ring
from fanoutfs.settings import MountSettings, Settings
from fanoutfs.shm.lender import Lender
from fanoutfs.shm.share import begin_turn, window
from fanoutfs.shm.turn import Turn
from fanoutfs.source.changes import ChangeWatch
from fanoutfs.source.contract import Source
from fanoutfs.source.counters import Counters
from fanoutfs.source.map_file import MapFile
from fanoutfs.source.mapfile import Mapfile
from fanoutfs.source.pieces import Pieces
from fanoutfs.source.pipe_source import PipeSource
from fanoutfs.source.rate_limit import RateLimit
from fanoutfs.source.salvage import Salvage
from fanoutfs.source.wrapper import find_layer
from fanoutfs.status.document import ExportEntry, Gauges, StatusDocument
from fanoutfs.system.interrupts import ENDS, unblocked

log = logging.getLogger(__name__)

DRAIN_SECONDS = 2.0
END_SECONDS = 5.0

FIRST_SECONDS = 10.0
"""How long an engine that was started for a copy waits for its first consumer."""


@attrs.define(eq=False)
class Engine:
    """A source being replicated."""

    settings: Settings
    source: Source
    remote: RemoteInfo | None = None
    """What the service of a remote source reports about it."""
    only: Only | None = None
    """What of the source is copied; None: all."""
    watch: ChangeWatch | None = None
    """What has become of the source since it was opened."""
    ring: Ring = attrs.field(init=False)
    slot_digests: SlotDigests = attrs.field(init=False)
    salvage: Salvage = attrs.field(init=False)
    map_task: MapTask = attrs.field(init=False)
    statistics: Counters = attrs.field(factory=Counters, init=False)
    numbers: "itertools.count[int]" = attrs.field(factory=lambda: itertools.count(1), init=False)
    """The numbers of the consumers."""
    session: Session | None = attrs.field(default=None, init=False)
    lenders: dict[int, Lender] = attrs.field(factory=dict, init=False)
    mounted: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when the first mount answers."""
    export: ExportEntry | None = attrs.field(default=None, init=False)
    """Where the image is exported over NBD."""
    pipe: PipeSource | None = attrs.field(init=False)
    """The pipe that the source is read from."""
    starting_line: StartingLine = attrs.field(init=False)
    end_requested: trio.Event = attrs.field(factory=trio.Event, init=False)
    users: int = attrs.field(default=0, init=False)
    """Mounts, copies, and commands that wait for their copies."""
    _verification: RemoteVerification | None = attrs.field(init=False)
    """Digests of a remote source; for a local one, those of the ring are used."""
    _came: trio.Event = attrs.field(factory=trio.Event, init=False)
    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        remote, settings = self.remote, self.settings
        self.pipe = find_layer(self.source, PipeSource)
        self.ring = build_ring(settings, self.source, None if remote is None else remote.block, self.only)
        self.source.limit_silence(settings.source_timeout)
        self.starting_line = StartingLine(self.ring)
        self.slot_digests = SlotDigests(self.ring.memory)
        self.ring.observers.add(self.slot_digests)
        file, given = None, Mapfile(())
        if (path := settings.source.mapfile) is not None:
            file, given = MapFile.open(path, self.source.size)
        self.map_task = MapTask.open(self.source, file, given)
        self.salvage = Salvage(
            self.source,
            self.statistics,
            Pieces.within(settings.source_timeout),
            self.map_task.map,
            zero=settings.source.on_read_error == "zero",
            retries=settings.source.retries,
        )
        self._verification = (
            None if remote is None else RemoteVerification(remote.digests, self.ring, self.slot_digests)
        )

    @property
    def digests(self) -> DigestSource:
        """The digests that copies verify their targets against."""
        return self._verification or self.slot_digests

    async def run(self, work: Callable[[], Awaitable[None]], *tasks: Callable[[], Awaitable[None]]) -> None:
        """Run until the last user has left; ``work`` is what the engine was started for.

        ``tasks`` run in the background until then: the control server and the network services. Raise what
        ``work`` raises.
        """
        failed: FanoutError | None = None
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                nursery.start_soon(self._end_on_signal)
                producer = self._make_producer()
                nursery.start_soon(producer.run)
                nursery.start_soon(self.starting_line.run)
                nursery.start_soon(self._make_source_watch(producer).run)
                nursery.start_soon(self.map_task.run)
                if self._verification is not None:
                    nursery.start_soon(self._verification.run)
                for task in tasks:
                    nursery.start_soon(task)
                try:
                    await work()
                except FanoutError as error:
                    failed = error
                if self.users == 0:
                    nursery.cancel_scope.cancel()
        finally:
            self.ring.memory.close()
        if failed is not None:
            raise failed

    def _make_producer(self) -> Producer:
        limit = self.settings.read_rate
        rate = RateLimit() if limit is None else RateLimit(limit)
        return Producer(self.source, self.ring, self.statistics, rate, salvage=self.salvage)

    def _make_source_watch(self, producer: Producer) -> SourceWatch:
        limit = self.settings.source_timeout
        return SourceWatch(
            self.source.path, limit, self.ring, producer, self.statistics, self.pipe, self.watch
        )

    @contextlib.contextmanager
    def exporting(self, shown: ExportEntry) -> Iterator[None]:
        """Show in the status that the image is exported over NBD, while the block runs."""
        self.export = shown
        try:
            yield
        finally:
            self.export = None

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the engine running while the block runs; the last user to leave ends it."""
        self.users += 1
        self._came.set()
        try:
            yield
        finally:
            self.users -= 1
            if self.users == 0 and self._nursery is not None:
                self._nursery.cancel_scope.cancel()

    async def first_user(self) -> None:
        """Wait for the first user, FIRST_SECONDS at most."""
        with trio.move_on_after(FIRST_SECONDS):
            await self._came.wait()

    async def begin_at_head(self) -> None:
        """Begin the first pass where the remote producer reads, if that is known and no pass has begun.

        Requested as late as possible: blocks that its head passes between the request and our first read
        are read only at the end of the pass. A checkpoint for remote sources; cancelled: nothing is changed.
        """
        if self.remote is None or self._has_begun():
            return
        try:
            head = await trio.to_thread.run_sync(self.remote.head, abandon_on_cancel=True)
        except FanoutError as error:
            log.info("the read position of %s is not known: %s", self.source.path, error)
            return
        if not self._has_begun():
            rules, layout = self.ring.rules, self.ring.layout
            rules.begin_at(layout.dense_block(head // self.ring.block) % rules.blocks)

    def _has_begun(self) -> bool:
        return bool(self.statistics.reads or self.lenders) or self.ring.arrivals.is_reading

    # Consumers

    async def mount(self, point: Path, settings: MountSettings, ready: Callable[[], Awaitable[None]]) -> None:
        """Serve a mount until it is unmounted. Raise UnusableError, also if the source is already mounted."""
        await self.begin_at_head()
        if self.pipe is not None and not self.pipe.size_is_known:
            raise UnusableError(
                f"the size of the source {self.source.path} is known only at its end, and a mount shows it; "
                "copy it, or mount it with --size SIZE, or with --spool DIR, before anything reads it"
            )
        if self.session is not None:
            session = self.session
            readers = [f"{one.consumer.command} ({one.consumer.pid})" for one in session.filesystem.readers]
            where = await trio.to_thread.run_sync(where_served, session.point, session.device, readers)
            raise UnusableError(f"the source {self.source.path} is served {where}")
        self.session = Session(
            ring=self.ring,
            source=self.source.path,
            point=point,
            settings=settings,
            status=lambda: render(self.status()),
            mapfile=lambda: self.map_task.text().encode(),
            numbers=self.numbers,
        )

        async def answers() -> None:
            await ready()
            self.mounted.set()

        self.ring.rules.use_all_slots()
        with self.in_use():
            try:
                await self.session.serve(answers)
            finally:
                self.statistics.delivered_before += self.session.filesystem.delivered_before
                self.session = None

    @contextlib.contextmanager
    def lend(
        self,
        *,
        pid: int,
        command: str,
        target: str,
        turn: Turn | None,
        preferred_start: int | None,
        verify: bool,
    ) -> Iterator[Lender]:
        """Register a consumer that copies out of the ring itself; on exit, release everything it holds.

        Its turn begins at the head, or at ``preferred_start`` if all blocks from there to the head are in the
        ring, so that the copies of one command begin at the same block. A consumer that has left a
        different producer continues its ``turn``. On a pipe without a spool it begins at the beginning;
        raise GoneError if that has left the ring.
        """
        rules = self.ring.rules
        if turn is None:
            rules.require_beginning()
            turn = begin_turn(rules, preferred_start)
        try:
            lender = Lender(
                ring=self.ring,
                id=next(self.numbers),
                pid=pid,
                command=command,
                target=target,
                turn=turn,
                capacity=max(1, min(2 * rules.run, rules.slots)),
                window=lambda in_hand: window(rules, len(self.lenders), in_hand),
                digests=self.digests if verify else None,
            )
        except OSError as error:
            raise UnusableError(
                f"the producer of {self.source.path} can't serve more copies: {reason(error)}"
            ) from error
        with self.in_use():
            self.lenders[lender.id] = lender
            try:
                yield lender
            finally:
                del self.lenders[lender.id]
                self.statistics.delivered_before += lender.delivered
                lender.close()

    def zeros_in(self, block: int) -> tuple[list[tuple[int, int]], bool]:
        """Return what holds zeros in place of data in a dense, resident block; and whether that is final.

        In bytes of the image: [begin, end).
        """
        offset = self.ring.layout.image_block(block) * self.ring.block
        places = [(offset + begin, offset + end) for begin, end in self.ring.bad_blocks.zeros_in(block)]
        return places, not self.salvage.map.has_left(offset, offset + self.ring.block)

    def try_again(self, block: int) -> None:
        """Read a dense block again, if something of it was left for later.

        Not if a copy holds it just now: then it stays as it is.
        """
        offset = self.ring.layout.image_block(block) * self.ring.block
        end = offset + self.ring.block
        if self.salvage.map.has_left(offset, end) and self.ring.drop_zeros(block):
            self.salvage.try_again(offset, end)

    def source_changed(self, block: int) -> None:
        """Count a block of the image whose content differed from its previous read."""
        if not self.statistics.changed:
            log.warning(
                "the source %s changes while it is read: byte %d has changed since an "
                "earlier read; copies may match no state of the source",
                self.source.path, block * self.ring.block)  # fmt: skip
        self.statistics.changed += 1

    # Status

    def status(self) -> StatusDocument:
        """Return the status document."""
        session = self.session
        files = [] if session is None else [handle.consumer for handle in session.filesystem.readers]
        consumers: list[ReaderStatus] = [*files, *self.lenders.values()]
        gauges = Gauges(
            handles=len(consumers),
            waiting=len(self.ring.waiting()),
            slots_held=self.ring.rules.held(self.ring.clock()),
            granted=self.ring.rules.granted.total() - len(self.ring.bad_blocks.hung),
            handler_bugs=0 if session is None else session.filesystem.handler_bugs,
        )
        point = None if session is None else session.point
        before = self.statistics.delivered_before
        if session is not None:
            before += session.filesystem.delivered_before
        return snapshot(
            self.source,
            self.statistics,
            self.ring,
            consumers,
            gauges,
            point,
            before,
            self.export,
            self.settings.read_rate,
            self.salvage,
        )

    # Tasks

    async def _end_on_signal(self) -> None:
        # nohup ignores SIGHUP, and a shell SIGINT of what a script runs in the background.
        heard = [number for number in ENDS if signal.getsignal(number) is not signal.SIG_IGN]
        with trio.open_signal_receiver(*heard) as signals, unblocked():
            async for number in signals:
                self._end_for(number)

    def _end_for(self, number: int) -> None:
        if self.end_requested.is_set():
            log.info("a second signal: ending without waiting for readers")
            self.ring.shut()
            return
        log.info("%s: ending the producer of %s", signal.Signals(number).name, self.source.path)
        self.end_requested.set()
        if self.session is not None:
            self.session.refuse_opens()
        assert self._nursery is not None
        self._nursery.start_soon(self._end)

    async def _end(self) -> None:
        """Wait briefly for pending reads, then fail them; then end the session and the engine."""
        with trio.move_on_after(DRAIN_SECONDS):
            await self.ring.nobody_waits()
        self.ring.shut()
        await self.ring.nobody_waits()
        if (session := self.session) is not None:
            session.end()
            with trio.move_on_after(END_SECONDS) as waiting:
                await session.ended.wait()
            if waiting.cancelled_caught:
                log.warning("the session has not ended within %g seconds; leaving it", END_SECONDS)
        assert self._nursery is not None
        self._nursery.cancel_scope.cancel()
