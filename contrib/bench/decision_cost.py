"""What one decision of the rules costs: up to 1,000 readers. Processor time of the decision, in milliseconds.

Two loads. *At work*: a full ring of 100,000 slots; readers take a run at a time, whoever the dice choose, and
decisions are made when the rules say that it is worth it, and after each read, as the producer does.
*Waiting*: a ring of 4,000 slots and readers 2,000 blocks apart, all of which wait, and longer than their
turn, because a read takes 80 ms, as one of 8 MiB from a disk of 100 MB/s does. Under a strict pace each but
the last then waits for the one behind it, so that a decision has to pass over all of them.
"""

import argparse
import random
import statistics
import time
from collections.abc import Iterator
from itertools import product

import attrs

from fanoutfs.ring.cursor import Cursor, Request
from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.rules import Rules
from tests.rig.harness import Row, finish

BLOCKS, SLOTS, RUN = 10_000_000, 100_000, 8
READERS = (1, 10, 100, 1000)
BAR = 0.5
PER_MOVED = 0.002
"""Milliseconds more for each reader that has moved since the last decision: in a pack all have."""

SOURCE_SECONDS = 0.001
"""Of one read at work; so short that nobody becomes dormant while we measure."""

WAITING = (50, 200, 500, 1000)
WAITING_BARS = {200: 1.0, 1000: 5.0}
GAP, FEW_SLOTS = 2_000, 4_000
TURN = 2.0
DISK_SECONDS = 0.08
"""Of one read while all wait."""


@attrs.define(eq=False)
class Load:
    """Readers at work on the rules."""

    rules: Rules
    seconds: float = SOURCE_SECONDS
    """Of one read."""
    now: float = 0.0
    waiting: dict[int, Request] = attrs.field(factory=dict, init=False)
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
            if block % self.rules.blocks not in residency.slot_of:
                residency.add(block % self.rules.blocks, residency.lend_slot(after=-1))

    def step(self, point: Cursor) -> None:
        """Let a reader take what is there of a run, or ask for its next block."""
        slots = self.rules.residency.slot_of
        self.steps += 1
        if point.block % BLOCKS not in slots:
            if point.id not in self.waiting:
                self.ask(point)
                self.produce()
            return
        ask = self.waiting.pop(point.id, None)
        worthwhile = ask is not None and self.rules.answered(ask, self.now)
        for block in range(point.block, point.block + RUN):
            if block % BLOCKS not in slots:
                break
            worthwhile |= self.rules.move(point, block + 1, sequential=True, now=self.now)
        if worthwhile:
            self.produce()

    def produce(self) -> None:
        """Decide and read until the rules rest."""
        while True:
            if isinstance(self.read(), Rest):
                return

    def read(self) -> Read | Rest:
        """Decide, and read what was decided."""
        before = time.thread_time()
        decision = self.rules.decide(self.now)
        self.milliseconds.append((time.thread_time() - before) * 1000)
        if isinstance(decision, Read):
            self.now += self.seconds
            self.rules.filled(decision, self.seconds)
        return decision

    def serve(self) -> None:
        """Let all who wait have what came for them, and ask for what is behind it."""
        slots = self.rules.residency.slot_of
        for number, ask in list(self.waiting.items()):
            point = self.rules.open_cursors[number]
            if ask.at % self.rules.blocks not in slots:
                continue
            self.rules.answered(self.waiting.pop(number), self.now)
            while point.block < point.end and point.block % self.rules.blocks in slots:
                self.rules.move(point, point.block + 1, sequential=True, now=self.now)
            if point.block < point.end:
                self.ask(point)

    def ask(self, point: Cursor) -> None:
        """Let a reader ask for the block where it stands."""
        block = point.block
        self.waiting[point.id] = self.rules.request(point, block, block, self.now, fresh=False)


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
        rules.move(point, place, sequential=True, now=load.now)
        points.append(point)
    for point in points:
        load.fill(point.block, slots if pack else -(-slots // readers))
    load.produce()
    load.milliseconds.clear()
    return load


def work(load: Load, decisions: int) -> None:
    """Let readers go on, whoever the dice choose, for so many decisions."""
    dice = random.Random(decisions)
    points = list(load.rules.open_cursors.values())
    while len(load.milliseconds) < decisions:
        load.step(dice.choice(points))


def make_waiting(readers: int, *, strict: bool = True, wrapping: bool = False) -> Load:
    """Place readers that all wait for the block where they stand, longer than their turn.

    The ring is full of what comes behind those blocks.
    """
    rules = Rules(
        blocks=GAP * (readers + 1), slots=FEW_SLOTS, run=RUN, patience=10.0, turn=TURN, strict=strict
    )
    load = Load(rules, DISK_SECONDS)
    for number in range(readers):
        place = number * GAP
        point = rules.open(number, start=place) if wrapping else rules.open(number)
        rules.move(point, place, sequential=True, now=0.0)
        load.ask(point)
        load.fill(place + 1, min(GAP - 1, max(1, FEW_SLOTS // readers)))
    load.now = 100 * TURN
    return load


def wait(load: Load, decisions: int) -> None:
    """Let a crowd that waits be served, one read at a time."""
    while len(load.milliseconds) < decisions:
        if isinstance(decision := load.read(), Rest):
            load.now = decision.until
        load.serve()


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
    rows = [*at_work(chosen.decisions), *while_all_wait(chosen.decisions)]
    finish("one decision, median of processor time", rows)


def while_all_wait(decisions: int) -> Iterator[Row]:
    """Measure with crowds that wait."""
    for strict, wrapping, readers in product((True, False), (False, True), WAITING):
        load = make_waiting(readers, strict=strict, wrapping=wrapping)
        wait(load, decisions)
        median, worst = statistics.median(load.milliseconds), max(load.milliseconds)
        before = time.thread_time()
        load.rules.waits(load.now)
        waits = (time.thread_time() - before) * 1000
        most = WAITING_BARS.get(readers)
        name = (
            f"{readers:4} waiting, {'wrapping' if wrapping else 'in order'}, {'strict' if strict else 'free'}"
        )
        figure = f"{median:.3f} ms (worst {worst:.2f}; who waits for whom {waits:.2f})"
        yield Row(name, figure, f"at most {most} ms" if most else "", most is None or median <= most)


def at_work(decisions: int) -> Iterator[Row]:
    """Measure with readers at work."""
    for name, kind in situations():
        for readers in READERS:
            load = make_load(readers, **kind)
            work(load, decisions)
            median, worst = statistics.median(load.milliseconds), max(load.milliseconds)
            between = load.steps / len(load.milliseconds)
            most = BAR + PER_MOVED * readers if kind["pack"] else BAR
            bar = f"at most {most} ms" if readers == max(READERS) else ""
            figure = f"{median:.3f} ms (worst {worst:.2f}; {between:.1f} reads between)"
            yield Row(f"{readers:4} {name}", figure, bar, not bar or median <= most)


if __name__ == "__main__":
    main()
