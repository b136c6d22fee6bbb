"""The positions of the live sequential consumers, sorted round the circle. No I/O, no clock.

A *position* is a real block at which there is at least one live sequential consumer. The rules look only at
positions, because the consumers at one position differ only in how many blocks they still need.

Cost: events only record which consumers have changed; ``settle`` moves these to their new positions before a
decision, by bisection. Dormant consumers are found by a queue that holds each live consumer once, with a time
before which it can't be dormant. So settling costs what has changed, not how many consumers there are.

Invariants, after ``settle(now)``: a consumer has a position if and only if it is sequential, needs more
blocks, and is not dormant at ``now``; positions are sorted and not empty; ``need`` is the most that one of
its consumers needs.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Container, Iterator
from heapq import heappop, heappush
from itertools import pairwise
from operator import sub

import attrs

from fanoutfs.ring.cursor import Cursor, Position


@attrs.define(eq=False)
class Cursors:
    """The positions round the circle."""

    blocks: int
    """The image's blocks: the length of the circle."""
    patience: float
    """Seconds."""
    places: list[int] = attrs.field(factory=list, init=False)
    """The blocks of the positions, sorted."""
    at: dict[int, Position] = attrs.field(factory=dict, init=False)
    """The position at a block."""
    may_want: list[int] = attrs.field(factory=list, init=False)
    """The blocks, sorted, of the positions that may have an absent block in their look-ahead."""
    uneven: set[Position] = attrs.field(factory=set, init=False)
    """The positions whose ``need`` does not end exactly at the end of the image, but before or beyond it."""
    _changed: dict[Cursor, None] = attrs.field(factory=dict, init=False)
    _queue: list[tuple[float, int, Cursor]] = attrs.field(factory=list, init=False)

    def changed(self, cursor: Cursor) -> None:
        """Record that a consumer moved, took, requested, or became sequential or ceased to be."""
        self._changed[cursor] = None

    def close(self, cursor: Cursor) -> None:
        """Remove a consumer for good."""
        cursor.end = cursor.block
        self._changed[cursor] = None

    def dormant(self, cursor: Cursor, now: float) -> bool:
        """R5: return whether a consumer has taken nothing for too long, with no request outstanding."""
        return not cursor.requests and now >= cursor.taken_at + self.patience

    def settle(self, now: float) -> None:
        """Move all changed consumers to their positions as of ``now``."""
        self._find_dormant(now)
        touched: set[Position] = set()
        for cursor in self._changed:
            live = cursor.sequential and cursor.block < cursor.end and not self.dormant(cursor, now)
            block = cursor.block % self.blocks if live else None
            old = cursor.position
            if old is not None and old.block != block:
                old.cursors.remove(cursor)
                cursor.position = None
                touched.add(old)
            if block is not None:
                position = self.at.get(block)
                if position is None:
                    position = self.at[block] = Position(block)
                    insort(self.places, block)
                position.cursors.add(cursor)
                cursor.position = position
                touched.add(position)
                if not cursor.queued:
                    cursor.queued = True
                    heappush(self._queue, (cursor.taken_at + self.patience, cursor.id, cursor))
        self._changed.clear()
        for position in touched:
            self.uneven.discard(position)
            self.may_want_again(position)
            if position.cursors:
                position.need = max([cursor.end - cursor.block for cursor in position.cursors])
                if position.block + position.need != self.blocks:
                    self.uneven.add(position)
            else:
                self.satisfied(position)
                del self.at[position.block]
                del self.places[bisect_left(self.places, position.block)]

    def satisfied(self, position: Position) -> None:
        """Record that a position's look-ahead is all resident, until a consumer joins, leaves or requests."""
        i = bisect_left(self.may_want, position.block)
        if i < len(self.may_want) and self.may_want[i] == position.block:
            del self.may_want[i]

    def may_want_again(self, position: Position) -> None:
        """Record that a block of a position's look-ahead may have been evicted."""
        self.satisfied(position)
        insort(self.may_want, position.block)

    def look_again(self) -> None:
        """Record that every look-ahead may have an absent block."""
        self.may_want = self.places.copy()

    def _find_dormant(self, now: float) -> None:
        """Mark as changed the consumers that have become dormant since the last call."""
        due = []
        while self._queue and self._queue[0][0] <= now:
            due.append(heappop(self._queue)[2])
        for cursor in due:
            if cursor.position is None or self.dormant(cursor, now):
                cursor.queued = False
                self._changed[cursor] = None
            else:
                earliest = now if cursor.requests else cursor.taken_at
                heappush(self._queue, (earliest + self.patience, cursor.id, cursor))

    def wakes_at(self, position: Position) -> float:
        """Return the time (seconds) at which the first consumer here becomes dormant if it takes nothing."""
        return min((p.taken_at + self.patience for p in position.cursors if not p.requests), default=math.inf)

    def may_want_from(self, head: int) -> Iterator[Position]:
        """Yield the ``may_want`` positions from ``head`` round; ``satisfied`` may be called meanwhile."""
        first = bisect_left(self.may_want, head)
        for place in self.may_want[first:] + self.may_want[:first]:
            yield self.at[place]

    def behind(self, block: int, most: int) -> Iterator[tuple[Position, int]]:
        """Yield the positions less than ``most`` blocks behind ``block``, nearest first, with distances."""
        first = bisect_left(self.places, block) - 1
        for i in range(first, first - len(self.places), -1):
            place = self.places[i]
            distance = (block - place) % self.blocks
            if distance >= most or distance == 0:
                return
            yield self.at[place], distance

    def next_after(self, place: int) -> int:
        """Return the distance in blocks from the position at ``place`` to the next, itself if alone."""
        i = bisect_left(self.places, place) + 1
        return (self.places[i % len(self.places)] - place) % self.blocks or self.blocks

    def is_behind(self, one: Position, other: Position, reach: int) -> bool:
        """Return whether one position is at most ``reach`` blocks behind the other.

        On the circle each is behind the other. What they need decides: one is behind if it still needs the
        other's block, or if the other does not need its block, and so has passed it already.
        """
        distance = (other.block - one.block) % self.blocks
        leads = one.need > distance or other.need <= self.blocks - distance
        return 0 < distance <= reach and leads

    def farthest_behind(self, position: Position, reach: int) -> Position | None:
        """Return the farthest of the positions at most ``reach`` blocks behind this one, whatever it needs.

        ``reach`` is less than the length of the circle.
        """
        other = self.at[
            self.places[bisect_left(self.places, (position.block - reach) % self.blocks) - len(self.places)]
        ]
        return None if other is position else other

    def hindmosts(self, reach: int) -> dict[Position, Position]:
        """Return for each position the last of the positions at most ``reach`` blocks behind it, if any.

        ``reach`` is less than the length of the circle. Costs O(positions): going along the line, a position
        that is out of reach, or that needs no more, stays so for all that follow.
        """
        line = [place - self.blocks for place in self.places] + self.places
        positions = [self.at[place] for place in self.places] * 2
        found: dict[Position, Position] = {}
        first = leads = 0
        for here in range(len(self.places), len(line)):
            place, position = line[here], positions[here]
            while line[first] < place - reach:
                first += 1
            behind = first
            # From this place on, the positions whose blocks this one does not need are all behind it.
            unled = place + position.need - self.blocks
            if unled > line[first]:
                # Before that place, only the positions that still need this block are behind it.
                leads = max(leads, first)
                while leads < here and line[leads] + positions[leads].need <= place:
                    leads += 1
                behind = min(leads, bisect_left(line, unled, first, here))
            if behind < here:
                found[position] = positions[behind]
        return found

    def look_ahead(self, most: int, room: int, among: Container[int] | None = None) -> int:
        """Return the largest look-ahead, at most ``most`` blocks, that fits ``room`` for all positions.

        Where the next position is nearer than that, the two overlap, and only the gap counts. ``among``: only
        the positions at these blocks count; None: all do.
        """
        if most * len(self.places) <= room:
            return most
        places = self.places if among is None else [place for place in self.places if place in among]
        if not places:
            return most
        gaps = [b - a for a, b in pairwise(places)]
        gaps.append(self.blocks - places[-1] + places[0])
        for left, gap in zip(range(len(gaps), 0, -1), sorted(gaps), strict=True):
            if min(gap, most) * left > room:
                return min(most, room // left)
            room -= gap
        return most

    def needed(self) -> list[tuple[int, int]]:
        """Return the stretches (first, one past the last) that consumers still need, in order, disjoint."""
        ways = sorted(
            [
                (0, end)
                for position in self.uneven
                if (end := position.block + position.need - self.blocks) > 0
            ]
            + [(block, min(block + self.at[block].need, self.blocks)) for block in self.places]
        )
        stretches: list[tuple[int, int]] = []
        for begin, end in ways:
            if stretches and begin <= stretches[-1][1]:
                stretches[-1] = stretches[-1][0], max(stretches[-1][1], end)
            else:
                stretches.append((begin, end))
        return stretches

    def spread(self) -> int:
        """Return the blocks from the first position to the last, the shortest way round."""
        gaps: Iterator[int] = map(sub, [*self.places[1:], self.places[0] + self.blocks], self.places)
        return self.blocks - max(gaps)

    def packs(self, reach: int) -> int:
        """Return the number of packs: rows of positions, each at most ``reach`` behind the next."""
        at = self.at
        rows = [
            b - a > reach or (at[a].need <= b - a and not self.is_behind(at[a], at[b], reach))
            for a, b in pairwise(self.places)
        ]
        around = bool(rows) and self.is_behind(at[self.places[-1]], at[self.places[0]], reach)
        return max(1, sum(rows) + (not around))
