"""R2: which resident block has the farthest next use (Belady 1966). No I/O, no clock.

Theory
    The next use of a block is the distance to it from the nearest position at or behind it that still needs
    it; infinite when no position does. Between one position and the next, blocks farther on have the farther
    next use, also where some positions' ways end in between: each end that is passed leaves a needer farther
    behind. So only the highest resident block of each *gap* between two positions can be the one.

    To have no circle here, a position whose way goes over the end of the image enters twice: at its place,
    with its way up to N, and as a *ghost* at its place minus N, with what it needs behind that end::

        ghost                 |0                                 N|
          x···················|··········>           x············|

    The gaps are looked at widest first, and only until none that is left can hold a block farther than the
    best that was found. So this costs O(positions) once in a decision that needs a slot, most of it a sort,
    and then a few bisections for each slot.

What never goes
    A block in the look-ahead of the position that uses it next (those farther behind have a look-ahead that
    ends earlier), a block that a waiting request is about to be given, and one that is being copied out.

When blocks have the same next use the highest goes first: the next newcomer probably begins at 0.
"""

import math
from collections.abc import Callable, Container
from heapq import heappop, heappush
from itertools import accumulate, chain, compress
from operator import add, attrgetter, lt, sub

import attrs

from fanoutfs.ring.cursor import Position
from fanoutfs.ring.cursors import Cursors
from fanoutfs.ring.residency import Residency

_need = attrgetter("need")


@attrs.frozen
class Victim:
    """A block that may go, and the position that uses it next, ``next_use`` blocks on; None: nobody does."""

    block: int
    needed_by: Position | None
    next_use: float


@attrs.define(eq=False)
class EvictionOrder:
    """The resident blocks that may go, farthest next use first; made for one decision."""

    cursors: Cursors
    residency: Residency
    window: Callable[[Position], int]
    """How many blocks of look-ahead a position has."""
    requested: Container[int]
    """Blocks about to be given."""
    granted: Container[int]
    """Blocks being copied out."""
    _widths: list[int] = attrs.field(factory=list, init=False)
    """More than any next use in each position's gap, and, last, in the one before the first position."""
    _gaps: list[int] = attrs.field(factory=list, init=False)
    """The gaps not yet looked at, the most promising last; that before the first position is -1."""
    _found: list[tuple[int, int, int]] = attrs.field(factory=list, init=False)
    """A heap of (minus the next use, minus the block, its gap)."""
    _next: list[Victim] = attrs.field(factory=list, init=False)
    """Those named already."""
    _needed_to: list[int] = attrs.field(factory=list, init=False)
    """One past what the ghosts need of the line, and then what they and the positions up to each do; empty
    where each needs all up to the end of the image."""

    @property
    def _never(self) -> int:
        """More than any next use; an int, for a list of ints is sorted twice as fast."""
        return self.cursors.blocks + 1

    def first(self, count: int) -> list[Victim]:
        """Return the ``count`` blocks that go next, fewer when all else that is resident has to stay."""
        if count and not self._widths:
            self._measure()
        while len(self._next) < count and (victim := self._another()):
            self._next.append(victim)
        return self._next[:count]

    def give_up(self) -> None:
        """Remove the first of them from the residency; its slot is free."""
        self.residency.remove(self._next.pop(0).block)

    def _measure(self) -> None:
        """Put the gaps in the order in which they are worth a look."""
        places, at = self.cursors.places, self.cursors.at
        widths = list(map(sub, [*places[1:], self.cursors.blocks], places))
        if self.cursors.uneven:
            needs = list(map(_need, map(at.__getitem__, places)))
            for gap in compress(range(len(places)), map(lt, needs, widths)):
                widths[gap] = self._never
            ends = list(map(add, places, needs))
            ghosts_end = max(0, max(ends) - self.cursors.blocks)
            self._needed_to = list(accumulate(ends, max, initial=ghosts_end))
        self._widths = [*widths, self._never]
        self._gaps = sorted(range(-1, len(places)), key=self._widths.__getitem__)

    def _another(self) -> Victim | None:
        """Return the block that goes after those named."""
        places = self.cursors.places
        while self._gaps and (not self._found or self._widths[self._gaps[-1]] >= -self._found[0][0]):
            gap = self._gaps.pop()
            self._look(gap, places[gap + 1] if gap + 1 < len(places) else self.cursors.blocks)
        if not self._found:
            return None
        minus_use, minus_block, gap = heappop(self._found)
        self._look(gap, -minus_block)
        needed_by, _ = self._needer(-minus_block, gap)
        return Victim(-minus_block, needed_by, math.inf if needed_by is None else -minus_use)

    def _look(self, gap: int, below: int) -> None:
        """Register the highest block of the gap that is below ``below`` and may go."""
        block = self.residency.highest_below(below)
        while block is not None and (block in self.requested or block in self.granted):
            block = self.residency.highest_below(block)
        if block is None or (gap >= 0 and block < self.cursors.places[gap]):
            return
        needed_by, begin = self._needer(block, gap)
        if needed_by is None:
            heappush(self._found, (-self._never, -block, gap))
        elif block - begin >= self.window(needed_by):
            heappush(self._found, (begin - block, -block, gap))

    def _needer(self, block: int, gap: int) -> tuple[Position | None, int]:
        """Return the position that uses a block of the gap next, and where that stands on the line."""
        places, at = self.cursors.places, self.cursors.at
        if gap >= 0 and places[gap] + at[places[gap]].need > block:
            return at[places[gap]], places[gap]
        if not self._needed_to or block >= self._needed_to[gap + 1]:
            return None, 0
        behind = places[gap::-1] if gap >= 0 else []
        ghosts = (place - self.cursors.blocks for place in reversed(places))
        for begin in chain(behind, ghosts):
            position = at[begin % self.cursors.blocks]
            if begin + position.need > block:
                return position, begin
        raise AssertionError("the block is needed by nobody, against the books")
