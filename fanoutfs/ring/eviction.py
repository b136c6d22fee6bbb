"""R2: which resident block has the farthest next use (Belady 1966). No I/O, no clock.

Theory
    The next use of a block is the distance to it from the nearest position at or behind it that still needs
    it; infinite when no position does. Between one position and the next, a block farther on has a farther
    next use, even where some positions need nothing beyond a block in between: the next position that does
    is farther behind. So only the highest resident block of each *gap* between two positions can be chosen.

    To turn the circle into a line, a position that needs blocks beyond the end of the image is entered twice:
    at its place, with its need up to N, and as a *ghost* at its place minus N, with the rest of its need::

        ghost                 |0                                 N|
          x···················|··········>           x············|

    The gaps are searched widest first, until no gap left can hold a block farther than the best one found.
    So this costs O(positions) once per decision that needs a slot, most of it a sort, and then a few
    bisections per slot.

What is never evicted
    A block in the look-ahead of the position that uses it next (the look-ahead of a position farther behind
    ends earlier), a block that is about to be given to a waiting request, and a block being copied out.

Among blocks with the same next use the highest goes first: the next new reader probably starts at 0.
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
    """A block that may be evicted, and the position, if any, that uses it next, after ``next_use`` blocks."""

    block: int
    needed_by: Position | None
    next_use: float


@attrs.define(eq=False)
class EvictionOrder:
    """The resident blocks that may be evicted, farthest next use first; made for one decision."""

    cursors: Cursors
    residency: Residency
    window: Callable[[Position], int]
    """Returns the blocks of a position's look-ahead."""
    requested: Container[int]
    """Blocks about to be given to a request."""
    granted: Container[int]
    """Blocks being copied out."""
    _widths: list[int] = attrs.field(factory=list, init=False)
    """An upper bound of the next uses in each position's gap; last, in the gap before the first position."""
    _gaps: list[int] = attrs.field(factory=list, init=False)
    """The gaps not yet searched, the most promising last; the gap before the first position is -1."""
    _found: list[tuple[int, int, int]] = attrs.field(factory=list, init=False)
    """A heap of (minus the next use, minus the block, its gap)."""
    _next: list[Victim] = attrs.field(factory=list, init=False)
    """The victims found and not yet evicted."""
    _needed_to: list[int] = attrs.field(factory=list, init=False)
    """One past the last block that the ghosts need, and then that they and the positions up to each one
    need; empty if every position needs all up to the end of the image."""

    @property
    def _never(self) -> int:
        """More than any next use; an int, because a list of ints is sorted twice as fast."""
        return self.cursors.blocks + 1

    def first(self, count: int) -> list[Victim]:
        """Return the next ``count`` victims, fewer if all other resident blocks have to stay."""
        if count and not self._widths:
            self._measure()
        while len(self._next) < count and (victim := self._another()):
            self._next.append(victim)
        return self._next[:count]

    def give_up(self) -> None:
        """Evict the first victim; its slot is free."""
        self.residency.remove(self._next.pop(0).block)

    def _measure(self) -> None:
        """Sort the gaps by the farthest next use that each can have."""
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
        """Return the victim after those in ``_next``, if there is one."""
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
        """Add the gap's highest block below ``below`` that may be evicted to ``_found``."""
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
        """Return the position that uses a block of the gap next, and its place on the line."""
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
        raise AssertionError("_needed_to says that a position needs the block, but none does")
