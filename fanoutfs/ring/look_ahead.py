"""How far is looked ahead for each consumer (R1), and how much of that never goes (R2). No I/O, no clock.

All have the same look-ahead, four runs if there is room. It is *divided* among those who have their next
block, so that together they take half of the ring; who waits for the sweep has nothing of its look-ahead yet,
and takes nothing from those whom the sweep serves. When the sweep comes to one more, all together can have
more than half. So what is *guarded*, that is never given up, is divided among all.

Runs end at multiples of the *granule*, half of the look-ahead at most: one is being read while one is taken.
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
    """The real blocks at which requests are."""
    run: int
    """Most blocks in one read."""
    most: int
    blocks: int = attrs.field(default=0, init=False)
    guarded: int = attrs.field(default=0, init=False)
    run_boundary: int = attrs.field(default=1, init=False)

    def divide(self) -> None:
        """Divide it anew."""
        room = self.residency.slots // 2
        most = min(self.most, room)
        self.guarded = self.cursors.look_ahead(most, room)
        blocks = self.cursors.look_ahead(most, room, self.residency.slot_of)
        if blocks != self.blocks:
            self.blocks = blocks
            self.run_boundary = max(1, min(self.run, blocks // 2))
            self.cursors.look_again()

    def of(self, position: Position) -> int:
        """Return how many blocks from its own on are looked ahead for at a position."""
        return self._window(position, self.blocks)

    def guarded_of(self, position: Position) -> int:
        """Return how many blocks from its own on never go."""
        return self._window(position, self.guarded)

    def end(self, block: int, end: int, length: int | None = None) -> int:
        """Return the end of the look-ahead of who stands at ``block`` and goes to ``end``, all unrolled.

        It is on a border between runs, so that runs come whole.
        """
        ahead = block + (self.blocks if length is None else length)
        lap = ahead // self.cursors.blocks * self.cursors.blocks
        return min(end, lap + (ahead - lap) // self.run_boundary * self.run_boundary)

    def _window(self, position: Position, length: int) -> int:
        """Return how long a look-ahead of so many blocks is at a position.

        Who has waited at the front for what came just now is about to take it: the look-ahead begins
        behind that. Else the head would leave for the next pack, and come back a turn later, whenever the
        look-ahead shrinks.
        """
        at = position.block
        end = at + position.need
        if at in self.requested and at in self.residency.slot_of:
            came = self.residency.first_absent(at, at + self.run) or at + self.run
            if self.cursors.next_after(at) > came - at:
                return self.end(came, end, length) - at
        return max(self.end(at, end, length) - at, at in self.requested)
