"""What one decision of the rules costs: up to 1,000 readers, a full ring of 100,000 slots.

Readers take a run at a time, whoever the dice choose; decisions are made when the rules say that it is worth
it, and after each read, as the producer does. Processor time of the decision alone, in milliseconds.
"""

import argparse
import random
import statistics
import time
from collections.abc import Iterator
from itertools import product

import attrs

from contrib.bench.harness import Row, finish
from fanoutfs.ring.decision import Rest
from fanoutfs.ring.point import Ask, Point
from fanoutfs.ring.rules import Rules

BLOCKS, SLOTS, RUN = 10_000_000, 100_000, 8
READERS = (1, 10, 100, 1000)
BAR = 0.5
PER_MOVED = 0.002
"""Milliseconds more for each reader that has moved since the last decision: in a pack all have."""

SOURCE_SECONDS = 0.001
"""Of one read; so short that nobody becomes dormant while we measure."""


@attrs.define(eq=False)
class Load:
    """Readers at work on the rules."""

    rules: Rules
    now: float = 0.0
    waiting: dict[int, Ask] = attrs.field(factory=dict, init=False)
    milliseconds: list[float] = attrs.field(factory=list, init=False)
    """What each decision took."""
    steps: int = attrs.field(default=0, init=False)
    """How often a reader took a run or asked; all that happened since the last decision is its to settle."""

    def fill(self, place: int, count: int) -> None:
        """Make the ring hold ``count`` blocks from a place on, but for what the rules keep free."""
        residency = self.rules.residency
        for block in range(place, place + count):
            if residency.free <= self.rules.reserve:
                return
            if block % BLOCKS not in residency.slot_of:
                residency.add(block % BLOCKS, residency.lend_slot(after=-1))

    def step(self, point: Point) -> None:
        """Let a reader take what is there of a run, or ask for its next block."""
        slots = self.rules.residency.slot_of
        self.steps += 1
        if point.block % BLOCKS not in slots:
            if point.id not in self.waiting:
                block = point.block
                self.waiting[point.id] = self.rules.ask(point, block, block, self.now, fresh=False)
                self.produce()
            return
        ask = self.waiting.pop(point.id, None)
        worthwhile = ask is not None and self.rules.answered(ask, self.now)
        for block in range(point.block, point.block + RUN):
            if block % BLOCKS not in slots:
                break
            worthwhile |= self.rules.move(point, block + 1, counts=True, now=self.now)
        if worthwhile:
            self.produce()

    def produce(self) -> None:
        """Decide and read until the rules rest."""
        while True:
            before = time.thread_time()
            decision = self.rules.decide(self.now)
            self.milliseconds.append((time.thread_time() - before) * 1000)
            if isinstance(decision, Rest):
                return
            self.now += SOURCE_SECONDS
            self.rules.filled(decision, SOURCE_SECONDS)


def make_load(
    readers: int, *, strict: bool = True, pack: bool = False, wrapping: bool = False, slots: int = SLOTS
) -> Load:
    """Place so many readers and fill the ring."""
    rules = Rules(blocks=BLOCKS, slots=slots, run=RUN, patience=10.0, turn=2.0, strict=strict)
    load = Load(rules)
    dice = random.Random(readers)  # the same situation each time
    between = (slots // 2 if pack else BLOCKS) // readers
    points = []
    for number in range(readers):
        place = (BLOCKS // 3 if pack else 0) + number * between + dice.randrange(between)
        point = rules.open(number, start=place) if wrapping else rules.open(number)
        rules.move(point, place, counts=True, now=load.now)
        points.append(point)
    for point in points:
        load.fill(point.block, slots if pack else -(-slots // readers))
    load.produce()
    load.milliseconds.clear()
    return load


def work(load: Load, decisions: int) -> None:
    """Let readers go on, whoever the dice choose, for so many decisions."""
    dice = random.Random(decisions)
    points = list(load.rules.points.values())
    while len(load.milliseconds) < decisions:
        load.step(dice.choice(points))


def situations() -> Iterator[tuple[str, dict[str, bool]]]:
    """Give each situation's name and what makes it."""
    for wrapping, pack, strict in product((False, True), (False, True), (True, False)):
        name = f"{'wrapping' if wrapping else 'in order'}, {'pack' if pack else 'spread'}"
        yield (
            f"{name}, pace {'strict' if strict else 'free'}",
            {
                "wrapping": wrapping,
                "pack": pack,
                "strict": strict,
            },
        )


def main() -> None:
    """Measure and answer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--decisions", type=int, default=1000, help="of each situation [%(default)s]")
    chosen = parser.parse_args()
    rows = []
    for name, kind in situations():
        for readers in READERS:
            load = make_load(readers, **kind)
            work(load, chosen.decisions)
            median, worst = statistics.median(load.milliseconds), max(load.milliseconds)
            between = load.steps / len(load.milliseconds)
            most = BAR + PER_MOVED * readers if kind["pack"] else BAR
            bar = f"at most {most} ms" if readers == max(READERS) else ""
            figure = f"{median:.3f} ms (worst {worst:.2f}; {between:.1f} reads between)"
            rows.append(Row(f"{readers:4} {name}", figure, bar, not bar or median <= most))
    finish("one decision, median of processor time", rows)


if __name__ == "__main__":
    main()
