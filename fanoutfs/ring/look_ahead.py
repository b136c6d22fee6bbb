"""Each consumer's look-ahead (R1), and the part of it that is never evicted (R2). No I/O, no clock.

All consumers have the same look-ahead, four runs if there is room. Half of the ring is *divided* among those
that have their next block; a consumer that waits for the sweep has no look-ahead in the ring yet, and takes
none from the others. When the sweep reaches one more, all together can have more than half. So the *guarded*
part, which is never evicted, is divided among all.

Runs end at multiples of ``run_boundary``, half of the look-ahead at most: one run is read while the consumer
takes the one before.
"""

from collections.abc import Container

import attrs

from fanoutfs.ring.cursor import Position
from fanoutfs.ring.cursors import Cursors
from fanoutfs.ring.residency import Residency

RUNS = 4
"""Look-ahead of one reader, in runs: one being taken, one ready, one being read, one to spare."""


@attrs.define(eq=False)
class LookAhead:
    """The look-ahead of all consumers, in blocks."""

    cursors: Cursors
    residency: Residency
    requested: Container[int]
    """The real blocks at which requests wait."""
    run: int
    """Most blocks in one read."""
    most: int
    blocks: int = attrs.field(default=0, init=False)
    guarded: int = attrs.field(default=0, init=False)
    run_boundary: int = attrs.field(default=1, init=False)

    def divide(self) -> None:
        """Recompute the look-ahead."""
        room = self.residency.slots // 2
        most = min(self.most, room)
        self.guarded = self.cursors.look_ahead(most, room)
        blocks = self.cursors.look_ahead(most, room, self.residency.slot_of)
        if blocks != self.blocks:
            self.blocks = blocks
            self.run_boundary = max(1, min(self.run, blocks // 2))
            self.cursors.look_again()

    def of(self, position: Position) -> int:
        """Return the blocks of a position's look-ahead, from its own block on."""
        return self._window(position, self.blocks)

    def guarded_of(self, position: Position) -> int:
        """Return the blocks, from a position's own on, that are never evicted."""
        return self._window(position, self.guarded)

    def end(self, block: int, end: int, length: int | None = None) -> int:
        """Return the end of the look-ahead of a consumer at ``block`` that needs all up to ``end``, unrolled.

        It is a run boundary, so that whole runs are read.
        """
        ahead = block + (self.blocks if length is None else length)
        lap = ahead // self.cursors.blocks * self.cursors.blocks
        return min(end, lap + (ahead - lap) // self.run_boundary * self.run_boundary)

    def _window(self, position: Position, length: int) -> int:
        """Return the blocks of a look-ahead of nominal ``length`` at a position.

        A front that has waited for a run just read is about to take it: its look-ahead begins after that
        run. Otherwise, whenever the look-ahead shrinks, the head would leave for the next pack and return
        only a turn later.
        """
        at = position.block
        end = at + position.need
        if at in self.requested and at in self.residency.slot_of:
            came = self.residency.first_absent(at, at + self.run) or at + self.run
            if self.cursors.next_after(at) > came - at:
                return self.end(came, end, length) - at
        return max(self.end(at, end, length) - at, at in self.requested)
