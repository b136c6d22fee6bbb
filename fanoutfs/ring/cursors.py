"""Who stands where on the circle: the live consumers that count, in the order of their places. Pure.

A *spot* is a real block at which at least one live counting consumer stands. All that the rules ask of the
consumers they ask of the spots, for those at one spot differ only in how far they have to go.

Keeping it cheap: events only note who has changed; ``settle`` puts these few in their new places before a
decision, by bisection. Dormancy is found by a queue that holds each live consumer once, with a time before
which it can't be dormant. So settling costs what has changed, not how many there are.

Invariants, after ``settle(now)``: a consumer is at a spot if and only if it counts, needs more, and is not
dormant at ``now``; spots are sorted and not empty; ``need`` is the most that one of those at it needs.
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
    """The spots round the circle."""

    blocks: int
    """How many the image has: the length of the circle."""
    patience: float
    """Seconds."""
    places: list[int] = attrs.field(factory=list, init=False)
    """The blocks of the spots, sorted."""
    at: dict[int, Position] = attrs.field(factory=dict, init=False)
    """The spot at a block."""
    hungry: list[int] = attrs.field(factory=list, init=False)
    """The blocks, sorted, of the spots that may have an absent block in their look-ahead."""
    uneven: set[Position] = attrs.field(factory=set, init=False)
    """The spots whose farthest way does not end where the image does, but before that or beyond."""
    _changed: dict[Cursor, None] = attrs.field(factory=dict, init=False)
    _queue: list[tuple[float, int, Cursor]] = attrs.field(factory=list, init=False)

    def changed(self, point: Cursor) -> None:
        """Note that a consumer moved, took, asked, or began or ceased to count."""
        self._changed[point] = None

    def close(self, point: Cursor) -> None:
        """Take a consumer out for good."""
        point.end = point.block
        self._changed[point] = None

    def dormant(self, point: Cursor, now: float) -> bool:
        """R5: it has taken nothing for too long, and not because of us."""
        return not point.asks and now >= point.taken_at + self.patience

    def settle(self, now: float) -> None:
        """Put everybody in their place, as of ``now``."""
        self._find_dormant(now)
        touched: set[Position] = set()
        for point in self._changed:
            live = point.counts and point.block < point.end and not self.dormant(point, now)
            block = point.block % self.blocks if live else None
            old = point.spot
            if old is not None and old.block != block:
                old.points.remove(point)
                point.spot = None
                touched.add(old)
            if block is not None:
                spot = self.at.get(block)
                if spot is None:
                    spot = self.at[block] = Position(block)
                    insort(self.places, block)
                spot.points.add(point)
                point.spot = spot
                touched.add(spot)
                if not point.queued:
                    point.queued = True
                    heappush(self._queue, (point.taken_at + self.patience, point.id, point))
        self._changed.clear()
        for spot in touched:
            self.uneven.discard(spot)
            self.starve(spot)
            if spot.points:
                spot.need = max([point.end - point.block for point in spot.points])
                if spot.block + spot.need != self.blocks:
                    self.uneven.add(spot)
            else:
                self.sated(spot)
                del self.at[spot.block]
                del self.places[bisect_left(self.places, spot.block)]

    def sated(self, spot: Position) -> None:
        """Note that a spot's look-ahead is all resident: it stays so until somebody comes, goes or asks."""
        i = bisect_left(self.hungry, spot.block)
        if i < len(self.hungry) and self.hungry[i] == spot.block:
            del self.hungry[i]

    def starve(self, spot: Position) -> None:
        """Note that something of a spot's look-ahead may have gone."""
        self.sated(spot)
        insort(self.hungry, spot.block)

    def look_again(self) -> None:
        """Note that anybody's look-ahead may have an absent block: what it covers has changed."""
        self.hungry = self.places.copy()

    def _find_dormant(self, now: float) -> None:
        """Note as changed whoever has become dormant since the last time."""
        due = []
        while self._queue and self._queue[0][0] <= now:
            due.append(heappop(self._queue)[2])
        for point in due:
            if point.spot is None or self.dormant(point, now):
                point.queued = False
                self._changed[point] = None
            else:
                earliest = now if point.asks else point.taken_at
                heappush(self._queue, (earliest + self.patience, point.id, point))

    def wakes_at(self, spot: Position) -> float:
        """Say when, in seconds, the first of those here will be dormant if it takes nothing."""
        return min((p.taken_at + self.patience for p in spot.points if not p.asks), default=math.inf)

    def hungry_from(self, head: int) -> Iterator[Position]:
        """Give the hungry spots going round from ``head``; they may be sated meanwhile."""
        first = bisect_left(self.hungry, head)
        for place in self.hungry[first:] + self.hungry[:first]:
            yield self.at[place]

    def behind(self, block: int, most: int) -> Iterator[tuple[Position, int]]:
        """Give the spots less than ``most`` blocks behind ``block``, the nearest first, with the distance."""
        first = bisect_left(self.places, block) - 1
        for i in range(first, first - len(self.places), -1):
            place = self.places[i]
            distance = (block - place) % self.blocks
            if distance >= most or distance == 0:
                return
            yield self.at[place], distance

    def next_after(self, place: int) -> int:
        """Say how many blocks on from the spot at ``place`` the next one is; round to itself at most."""
        i = bisect_left(self.places, place) + 1
        return (self.places[i % len(self.places)] - place) % self.blocks or self.blocks

    def is_behind(self, one: Position, other: Position, reach: int) -> bool:
        """Say whether one spot is at most ``reach`` blocks behind the other.

        Round the circle each is behind the other. What tells is the way: one is behind when its own leads to
        the other, or when the other's does not lead to it, who then has been there already.
        """
        distance = (other.block - one.block) % self.blocks
        leads = one.need > distance or other.need <= self.blocks - distance
        return 0 < distance <= reach and leads

    def farthest_behind(self, spot: Position, reach: int) -> Position | None:
        """Return the farthest of the spots at most ``reach`` blocks behind this one, wherever it goes.

        ``reach`` is less than the length of the circle.
        """
        other = self.at[
            self.places[bisect_left(self.places, (spot.block - reach) % self.blocks) - len(self.places)]
        ]
        return None if other is spot else other

    def hindmosts(self, reach: int) -> dict[Position, Position]:
        """Return for each spot the last of those that are behind it by at most ``reach`` blocks, if any.

        ``reach`` is less than the length of the circle. Costs O(spots): going on along the line, a spot that
        is out of reach, or whose way has ended, stays so for all that follow.
        """
        line = [place - self.blocks for place in self.places] + self.places
        spots = [self.at[place] for place in self.places] * 2
        found: dict[Position, Position] = {}
        first = leads = 0
        for here in range(len(self.places), len(line)):
            place, spot = line[here], spots[here]
            while line[first] < place - reach:
                first += 1
            behind = first
            # Those from this place on, to whom this spot's own way does not lead, are all behind it.
            unled = place + spot.need - self.blocks
            if unled > line[first]:
                # Of those before that place, those are behind it whose ways lead here.
                leads = max(leads, first)
                while leads < here and line[leads] + spots[leads].need <= place:
                    leads += 1
                behind = min(leads, bisect_left(line, unled, first, here))
            if behind < here:
                found[spot] = spots[behind]
        return found

    def look_ahead(self, most: int, room: int, among: Container[int] | None = None) -> int:
        """Give the largest look-ahead, ``most`` blocks at most, that fits ``room``, all spots' together.

        Where the next spot is nearer than that the two overlap, and only the gap counts. ``among``: the
        blocks of the spots that count; None: all do.
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
        """Give the stretches (first, one past the last) that somebody still needs, in order, disjoint."""
        ways = sorted(
            [(0, end) for spot in self.uneven if (end := spot.block + spot.need - self.blocks) > 0]
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
        """Say how many blocks lie from the first of all the spots to the last, the shortest way round."""
        gaps: Iterator[int] = map(sub, [*self.places[1:], self.places[0] + self.blocks], self.places)
        return self.blocks - max(gaps)

    def packs(self, reach: int) -> int:
        """Count the packs: rows of spots, each at most ``reach`` behind the next."""
        at = self.at
        rows = [
            b - a > reach or (at[a].need <= b - a and not self.is_behind(at[a], at[b], reach))
            for a, b in pairwise(self.places)
        ]
        around = bool(rows) and self.is_behind(at[self.places[-1]], at[self.places[0]], reach)
        return max(1, sum(rows) + (not around))
