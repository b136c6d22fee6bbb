"""The only task that reads the source: it gets a decision from the rules, and reads into the lent slots."""

import logging
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
from fanoutfs.source.spool import Spool, pipe_in, spool_in
from fanoutfs.units import format_size

log = logging.getLogger(__name__)


LONG_SECONDS = 2.0
"""A read that has taken this long ends with the next block: readers wait for the blocks that it has."""


@attrs.define(eq=False)
class Producer:
    """Reads a source into a ring; there is one per source."""

    source: Source
    ring: Ring
    statistics: Counters
    rate: RateLimit = attrs.field(factory=RateLimit)
    pieces: Pieces = attrs.field(factory=Pieces)
    salvage: Salvage = attrs.field(kw_only=True)
    long_seconds: float = LONG_SECONDS
    _pipe: PipeSource | None = attrs.field(init=False)
    """The pipe that the source is, or is a spool of."""
    _spool: Spool | None = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._pipe = pipe_in(self.source)
        self._spool = spool_in(self.source)
        if self._pipe is not None and self._spool is None:
            self.ring.go_in_order(0, 0)

    @salvage.default
    def _plain(self) -> Salvage:
        return Salvage(self.source, self.statistics, self.pieces, BadMap(self.source.size))

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
            count, salvaged = await trio.to_thread.run_sync(self._fill, read, abandon_on_cancel=True)
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
        """Let the ring know of the pipe's end, and of a spool that is full: the pipe gives each byte once."""
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

    def _fill(self, read: Read) -> tuple[int, Salvaged]:
        """Read the blocks into their slots (in a worker thread); return how many were read."""
        ring, block = self.ring, self.ring.block
        statistics, began = self.statistics, time.perf_counter()
        statistics.made += sum(ring.memory.make_ready(slot) for slot in read.slots)
        made = time.perf_counter()
        slots = [ring.memory.slot(slot) for slot in read.slots]
        done, found = 0, Salvaged()
        while done < len(slots) and (done == 0 or time.perf_counter() - made < self.long_seconds):
            first = read.first + done
            # What adjoins in the ring may have a gap between in the image.
            at, count = next(ring.layout.adjoining(first, len(slots) - done))
            part = slots[done : done + min(count, max(1, self.pieces.size // block))]
            length = self._come(at * block, min(len(part) * block, ring.layout.size - at * block))
            if length <= 0:
                break
            part = part[: -(-length // block)]
            salvaged = self.salvage.read(at * block, length, part, self.long_seconds)
            found = found.joined(salvaged.renumbered(first - at))
            done += salvaged.blocks
        statistics.making += made - began
        statistics.reading += time.perf_counter() - made
        return done, found
