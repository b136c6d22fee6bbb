"""The only task that reads the source: it gets a decision from the rules, and reads into the lent slots."""

import contextlib
import logging
import threading
import time

import attrs
import trio

from fanoutfs.ring.decision import Read
from fanoutfs.ring.ring import Ring
from fanoutfs.source.bad_map import BadMap
from fanoutfs.source.contract import Source
from fanoutfs.source.counters import Counters
from fanoutfs.source.pieces import Pieces
from fanoutfs.source.pipe_source import PipeSource
from fanoutfs.source.rate_limit import RateLimit
from fanoutfs.source.salvage import Salvage, Salvaged
from fanoutfs.source.spool import Spool
from fanoutfs.source.wrapper import find_layer
from fanoutfs.units import format_size

log = logging.getLogger(__name__)


LONG_SECONDS = 2.0
"""A read that has taken this long ends with the next block: readers wait for the blocks that it has."""


MOST_HUNG = 3
"""Reads that hang and are given up at a time: each has a thread until the source answers."""


@attrs.define(eq=False)
class _Filling:
    """A read under way, for its thread and for the task that may give it up."""

    read: Read
    done: int = 0
    """Blocks that have been read."""
    part: int = 0
    """The blocks after those that are just being read."""
    found: Salvaged = attrs.field(factory=Salvaged)
    is_abandoned: bool = False
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def begin(self, part: int) -> None:
        """Record what is read next."""
        with self._lock:
            self.part = part

    def end(self, salvaged: Salvaged) -> bool:
        """Record what was read; return False if the read was given up."""
        with self._lock:
            if not self.is_abandoned:
                self.found, self.part = self.found.joined(salvaged), 0
                self.done += salvaged.blocks
            return not self.is_abandoned

    def abandon(self) -> bool:
        """Abandon the read, if it is just reading; what ``done``, ``part`` and ``found`` say stays so."""
        with self._lock:
            self.is_abandoned = self.part > 0
            return self.is_abandoned


@attrs.define(eq=False)
class Producer:
    """Reads a source into a ring; there is one per source."""

    source: Source
    ring: Ring
    statistics: Counters
    rate: RateLimit = attrs.field(factory=RateLimit)
    salvage: Salvage = attrs.field(kw_only=True)
    long_seconds: float = LONG_SECONDS
    _pipe: PipeSource | None = attrs.field(init=False)
    """The pipe that the source is, or is a spool of."""
    _spool: Spool | None = attrs.field(init=False)
    _filling: _Filling | None = attrs.field(default=None, init=False)
    _scope: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    """Of the read under way."""
    _hung: list[range] = attrs.field(factory=list, init=False)
    """The blocks of reads that hang."""

    def __attrs_post_init__(self) -> None:
        self._pipe = find_layer(self.source, PipeSource)
        self._spool = find_layer(self.source, Spool)
        if self._pipe is not None and self._spool is None:
            self.ring.go_in_order(0, 0)

    @salvage.default
    def _plain(self) -> Salvage:
        return Salvage(self.source, self.statistics, Pieces(), BadMap(self.source.size))

    async def run(self) -> None:
        """Read what the rules decide, until cancelled.

        An error of the source becomes state of the ring (bad ranges), never an exception here. Cancelled
        while a read is under way: its thread is abandoned with the slots that it was lent.
        """
        async with trio.open_nursery() as nursery:
            await self._run(nursery)

    async def _run(self, nursery: trio.Nursery) -> None:
        clock = self.ring.clock
        while True:
            if (pause := self.rate.wait(clock())) > 0:
                # Before the decision, which is to be made on what readers want when the source is read.
                await trio.sleep(pause)
            read = await self.ring.next_read()
            began, taken = clock(), self._taken()
            filling = self._filling = _Filling(read)
            with trio.CancelScope() as self._scope:
                token = trio.lowlevel.current_trio_token()
                await trio.to_thread.run_sync(self._fill, filling, token, abandon_on_cancel=True)
            self._filling = None
            if filling.is_abandoned:
                continue
            count, salvaged = filling.done, filling.found
            self.rate.began(began, self._taken() - taken if self._spool else count * self.ring.block)
            self.statistics.seconds += pause + clock() - began
            self.ring.rules.set_memory_cost(is_expensive=self.statistics.memory_is_expensive)
            if self._pipe is not None:
                self._adjust(self._pipe)
            self.ring.filled(read, salvaged.bad, self.statistics.trouble, count, salvaged.zeros)
            if self._pipe is not None and not count and not self._pipe.ended:
                come = self.ring.layout.dense_block(self._pipe.arrived // self.ring.block)
                self.ring.hold(min(read.first, come))
                nursery.start_soon(self._await_more, self._pipe)
            self._log(salvaged)

    def give_up(self, why: str) -> bool:
        """Abandon a read that hangs, so that others can be made; return False if that can't be done.

        Its blocks are bad until the source has answered, and keep their slots: it may still write there.
        """
        filling, ring = self._filling, self.ring
        if filling is None or len(self._hung) >= MOST_HUNG or not self.source.overlaps:
            return False
        if sum(map(len, self._hung)) + filling.part > ring.rules.slots // 2 or not filling.abandon():
            return False
        self.salvage.abandon()
        found = filling.found
        blocks = ring.abandon(filling.read, filling.done, filling.part, found.bad, found.zeros, why)
        self._hung.append(blocks)
        log.warning("the source hangs at byte %d: %s; reading on", self._byte(blocks), why)
        self._scope.cancel()
        return True

    def _came_back(self, filling: _Filling) -> None:
        first = filling.read.first + filling.done
        blocks = range(first, first + filling.part)
        self._hung.remove(blocks)
        self.ring.came_back(blocks)
        log.info("the source has answered at byte %d", self._byte(blocks))

    def _byte(self, blocks: range) -> int:
        return self.ring.layout.image_block(blocks[0]) * self.ring.block

    def _log(self, salvaged: Salvaged) -> None:
        then = "; readers get zeros" if self.salvage.zero else ""
        for places, so in ((salvaged.lost, ""), (salvaged.found, then)):
            for begin, end in places:
                log.warning(
                    "the source can't be read from byte %d to before %d: %s%s",
                    begin, end, self.statistics.trouble, so)  # fmt: skip
        for begin, end in salvaged.left:
            log.warning(
                "a bad area of the source at byte %d: reading on, %s left for later%s",
                begin, format_size(end - begin), then)  # fmt: skip

    def _taken(self) -> int:
        """Return how many bytes have been read from what is spooled."""
        return self._spool.taken if self._spool else 0

    # Pipes

    def _adjust(self, pipe: PipeSource) -> None:
        """Tell the ring of the pipe's end, and of a spool that is full: the pipe gives each byte once."""
        ring = self.ring
        if pipe.size_is_known and pipe.size != ring.layout.size:
            ring.shorten(pipe.size)
        spool = self._spool
        if spool is not None and spool.trouble and not ring.rules.intake.in_order:
            end, next_byte = spool.kept_from(0), pipe.consumed
            following = next_byte // ring.block if end >= next_byte else -(-next_byte // ring.block)
            ring.go_in_order(ring.layout.dense_block(end // ring.block), ring.layout.dense_block(following))

    async def _await_more(self, pipe: PipeSource) -> None:
        await trio.lowlevel.wait_readable(pipe.fileno())
        self.ring.flow()

    def _come(self, offset: int, length: int) -> int:
        """Return how many of these bytes of the image can be read now: whole blocks, up to the end.

        Of a pipe that is silent, what has come; all of other sources. In a worker thread.
        """
        source = self._spool or self._pipe
        if source is None:
            return length
        come = source.prefetch(offset, length)
        # The end may have been found just now.
        length = min(length, source.size - offset)
        return length if come >= length else come - come % self.ring.block

    def _fill(self, filling: _Filling, token: trio.lowlevel.TrioToken) -> None:
        """Read the blocks into their slots (in a worker thread)."""
        ring, block, read = self.ring, self.ring.block, filling.read
        statistics, began = self.statistics, time.perf_counter()
        statistics.made += sum(ring.memory.make_ready(slot) for slot in read.slots)
        made = time.perf_counter()
        slots = [ring.memory.slot(slot) for slot in read.slots]
        done = 0
        while done < len(slots) and (done == 0 or time.perf_counter() - made < self.long_seconds):
            first = read.first + done
            # What adjoins in the ring may have a gap between in the image.
            at, count = next(ring.layout.adjoining(first, len(slots) - done))
            part = slots[done : done + min(count, max(1, self.salvage.pieces.size // block))]
            length = self._come(at * block, min(len(part) * block, ring.layout.size - at * block))
            if length <= 0:
                break
            part = part[: -(-length // block)]
            filling.begin(len(part))
            salvaged = self.salvage.read(at * block, length, part, self.long_seconds)
            if not filling.end(salvaged.renumbered(first - at)):
                with contextlib.suppress(trio.RunFinishedError):
                    token.run_sync_soon(self._came_back, filling)
                return
            done = filling.done
        statistics.making += made - began
        statistics.reading += time.perf_counter() - made
