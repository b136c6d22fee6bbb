"""The only task that reads the source: it gets a decision from the rules, and reads into the lent slots."""

import logging
import time
from collections.abc import Iterator

import attrs
import trio

from fanoutfs.ranges import Range, joined
from fanoutfs.ring.decision import Read
from fanoutfs.ring.ring import Ring
from fanoutfs.source.contract import Source
from fanoutfs.source.counters import Counters
from fanoutfs.source.pieces import Pieces
from fanoutfs.source.rate_limit import RateLimit
from fanoutfs.source.salvage import BadRanges, read_or_salvage

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
    long_seconds: float = LONG_SECONDS

    async def run(self) -> None:
        """Read what the rules decide, until cancelled.

        An error of the source becomes state of the ring (bad ranges), never an exception here. Cancelled
        while a read is under way: its thread is abandoned with the slots that it was lent.
        """
        clock = self.ring.clock
        while True:
            if (pause := self.rate.wait(clock())) > 0:
                # Before the decision, which is to be made on what readers want when the source is read.
                await trio.sleep(pause)
            read = await self.ring.next_read()
            began = clock()
            self.rate.began(began, len(read.slots) * self.ring.block)
            count, bad = await trio.to_thread.run_sync(self._fill, read, abandon_on_cancel=True)
            self.statistics.seconds += pause + clock() - began
            self.ring.rules.set_memory_cost(is_expensive=self.statistics.memory_is_expensive)
            self.ring.filled(read, bad, self.statistics.trouble, count)
            for begin, length in joined(self._places(bad)):
                log.warning(
                    "the source can't be read from byte %d to before %d: %s",
                    begin, begin + length, self.statistics.trouble)  # fmt: skip

    def _places(self, bad: BadRanges) -> Iterator[Range]:
        """Yield bad ranges in bytes of the image."""
        for block, ranges in bad.items():
            offset = self.ring.layout.image_block(block) * self.ring.block
            for begin, end in ranges:
                yield offset + begin, end - begin

    def _fill(self, read: Read) -> tuple[int, BadRanges]:
        """Read the blocks into their slots (in a worker thread); return how many were read."""
        ring, block = self.ring, self.ring.block
        statistics, began = self.statistics, time.perf_counter()
        statistics.made += sum(ring.memory.make_ready(slot) for slot in read.slots)
        made = time.perf_counter()
        slots = [ring.memory.slot(slot) for slot in read.slots]
        done, bad = 0, BadRanges()
        while done < len(slots) and (done == 0 or time.perf_counter() - made < self.long_seconds):
            first = read.first + done
            # What adjoins in the ring may have a gap between in the image.
            at, count = next(ring.layout.adjoining(first, len(slots) - done))
            part = slots[done : done + min(count, max(1, self.pieces.size // block))]
            length = min(len(part) * block, ring.layout.size - at * block)
            found = read_or_salvage(self.source, at * block, length, part, statistics, self.pieces)
            bad |= {number - at + first: ranges for number, ranges in found.items()}
            done += len(part)
        statistics.making += made - began
        statistics.reading += time.perf_counter() - made
        return done, bad
