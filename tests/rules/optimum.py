"""Belady's offline optimum, LRU and the rules on one trace: equal readers in order, some distance apart.

In each unit of time every reader that has begun and is not done takes one block; reader i begins at block 0
at the time i times the distance. The optimum is demand paging that knows the trace (Belady 1966: evict the
page that is used last); it is independent of the rules.

``python -m tests.rules.optimum`` prints the table for eight readers an eighth of the image apart.
"""

import math
from collections import OrderedDict
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Any

import attrs

from fanoutfs.ring.cursor import Cursor
from fanoutfs.ring.decision import Rest
from fanoutfs.ring.rules import Rules


@attrs.frozen
class Situation:
    """Equal readers of one image; all sizes in blocks."""

    readers: int
    apart: int
    blocks: int
    slots: int

    def trace(self) -> list[int]:
        """Return every use of a block, in order of time."""
        times = range((self.readers - 1) * self.apart + self.blocks)
        places = [[time - i * self.apart for i in range(self.readers)] for time in times]
        return [block for row in places for block in row if 0 <= block < self.blocks]


def optimum(trace: Sequence[int], slots: int) -> int:
    """Count the misses of Belady's rule."""
    next_use = [math.inf] * len(trace)
    seen: dict[int, int] = {}
    for i in reversed(range(len(trace))):
        next_use[i] = seen.get(trace[i], math.inf)
        seen[trace[i]] = i
    cached: dict[int, float] = {}
    farthest: list[tuple[float, int]] = []
    misses = 0
    for block, use in zip(trace, next_use, strict=True):
        if block not in cached:
            misses += 1
            if len(cached) == slots:
                goes = heappop(farthest)
                while cached.get(goes[1]) != -goes[0]:
                    goes = heappop(farthest)
                del cached[goes[1]]
        cached[block] = use
        heappush(farthest, (-use, block))
    return misses


def fewest_of_all(trace: Sequence[int], slots: int) -> int:
    """Count the misses of the best choice of evictions, by trying all."""
    reached: dict[frozenset[int], int] = {frozenset(): 0}
    for block in trace:
        after: dict[frozenset[int], int] = {}
        for cached, misses in reached.items():
            if block in cached:
                ways = [(cached, misses)]
            elif len(cached) < slots:
                ways = [(cached | {block}, misses + 1)]
            else:
                ways = [(cached - {goes} | {block}, misses + 1) for goes in cached]
            for way, count in ways:
                after[way] = min(count, after.get(way, count))
        reached = after
    return min(reached.values())


def least_recently_used(trace: Sequence[int], slots: int) -> int:
    """Count the misses of a page cache that knows the past alone."""
    cached: OrderedDict[int, None] = OrderedDict()
    misses = 0
    for block in trace:
        if block in cached:
            cached.move_to_end(block)
        else:
            misses += 1
            if len(cached) == slots:
                cached.popitem(last=False)
            cached[block] = None
    return misses


@attrs.define(eq=False)
class _Drive:
    """The rules with readers of one rate, and a source that is always fast enough."""

    rules: Rules
    now: float = 0.0
    read: int = 0

    def produce(self) -> None:
        while not isinstance(decision := self.rules.decide(self.now), Rest):
            self.rules.filled(decision, 0.0)
            self.read += len(decision.slots)

    def take(self, cursor: Cursor) -> None:
        if cursor.block not in self.rules.residency.slot_of:
            request = self.rules.request(cursor, cursor.block, cursor.block, self.now, fresh=False)
            self.produce()
            self.rules.answered(request, self.now)
        assert cursor.block in self.rules.residency.slot_of
        self.rules.move(cursor, cursor.block + 1, sequential=True, now=self.now)


def of_the_rules(situation: Situation) -> int:
    """Count the blocks that the rules read, without pace, in runs of a block, with one run of look-ahead."""
    settings: dict[str, Any] = {"run": 1, "patience": 1e9, "turn": 1e9, "strict": False, "look_ahead_runs": 1}
    rules = Rules(blocks=situation.blocks, slots=situation.slots, **settings)
    drive = _Drive(rules)
    cursors: list[Cursor] = []
    for time in range((situation.readers - 1) * situation.apart + situation.blocks):
        drive.now = float(time)
        if time == len(cursors) * situation.apart and len(cursors) < situation.readers:
            cursors.append(rules.open(len(cursors)))
            rules.move(cursors[-1], 0, sequential=True, now=drive.now)
        drive.produce()
        for cursor in cursors:
            if cursor.block < situation.blocks:
                drive.take(cursor)
    return drive.read


def main() -> None:
    """Print how many passes eight equal readers need."""
    blocks = 4000
    print("ring   optimum    rules      LRU")
    for part in (8, 4, 2):
        situation = Situation(8, blocks // 8, blocks, blocks // part)
        trace = situation.trace()
        slots = situation.slots
        counts = optimum(trace, slots), of_the_rules(situation), least_recently_used(trace, slots)
        print(f"S/{part}  " + "  ".join(f"{count / blocks:6.3f} S" for count in counts))


if __name__ == "__main__":
    main()
