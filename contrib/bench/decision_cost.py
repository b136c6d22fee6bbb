"""What one decision of the rules costs with up to 1,000 readers: processor time, in milliseconds.

Two loads. *At work*: a full ring of 100,000 slots; readers chosen at random read a run at a time. As in the
producer, a decision follows when the rules say that it is worth it, and after each read of the source.
*Waiting*: a ring of 4,000 slots and readers 2,000 blocks apart, all of which wait longer than their turn,
because a read takes 80 ms, as one of 8 MiB from a disk of 100 MB/s does. With a strict pace each reader but
the last then waits for the one behind it, so that a decision has to consider all of them.
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
"""Additional milliseconds for each reader that has moved since the last decision: in a pack all have."""

SOURCE_SECONDS = 0.001
"""Of one read at work; so short that no reader becomes dormant during the measurement."""

WAITING = (50, 200, 500, 1000)
WAITING_BARS = {200: 1.0, 1000: 5.0}
GAP, FEW_SLOTS = 2_000, 4_000
TURN = 2.0
DISK_SECONDS = 0.08
"""Of one read while all readers wait."""


@attrs.define(eq=False)
class Load:
    """Rules with readers, and what their decisions cost."""

    rules: Rules
    seconds: float = SOURCE_SECONDS
    """Of one read of the source."""
    now: float = 0.0
    waiting: dict[int, Request] = attrs.field(factory=dict, init=False)
    milliseconds: list[float] = attrs.field(factory=list, init=False)
    """Of each decision."""
    steps: int = attrs.field(default=0, init=False)
    """How often a reader read a run or made a request; a decision settles all since the last one."""

    def fill(self, position: int, count: int) -> None:
        """Put ``count`` blocks from a position on into the ring; leave the rules' reserve of slots free."""
        residency = self.rules.residency
        for block in range(position, position + count):
            if residency.free <= self.rules.reserve:
                return
            if block % self.rules.blocks not in residency.slot_of:
                residency.add(block % self.rules.blocks, residency.lend_slot(after=-1))

    def step(self, cursor: Cursor) -> None:
        """Read the resident part of a run for one reader, or request its next block."""
        slots = self.rules.residency.slot_of
        self.steps += 1
        if cursor.block % BLOCKS not in slots:
            if cursor.id not in self.waiting:
                self.request(cursor)
                self.produce()
            return
        request = self.waiting.pop(cursor.id, None)
        worthwhile = request is not None and self.rules.answered(request, self.now)
        for block in range(cursor.block, cursor.block + RUN):
            if block % BLOCKS not in slots:
                break
            worthwhile |= self.rules.move(cursor, block + 1, sequential=True, now=self.now)
        if worthwhile:
            self.produce()

    def produce(self) -> None:
        """Decide and read until the rules rest."""
        while isinstance(self.read(), Read):
            pass

    def read(self) -> Read | Rest:
        """Decide, and read the blocks of the decision."""
        before = time.thread_time()
        decision = self.rules.decide(self.now)
        self.milliseconds.append((time.thread_time() - before) * 1000)
        if isinstance(decision, Read):
            self.now += self.seconds
            self.rules.filled(decision, self.seconds)
        return decision

    def serve(self) -> None:
        """Answer the readers whose block is resident; each reads up to a missing block and requests it."""
        slots = self.rules.residency.slot_of
        for number, request in list(self.waiting.items()):
            cursor = self.rules.open_cursors[number]
            if request.at % self.rules.blocks not in slots:
                continue
            self.rules.answered(self.waiting.pop(number), self.now)
            while cursor.block < cursor.end and cursor.block % self.rules.blocks in slots:
                self.rules.move(cursor, cursor.block + 1, sequential=True, now=self.now)
            if cursor.block < cursor.end:
                self.request(cursor)

    def row(self, name: str, more: str, most: float | None) -> Row:
        """Report the median of the decisions, in milliseconds."""
        median = statistics.median(self.milliseconds)
        figure = f"{median:.3f} ms (worst {max(self.milliseconds):.2f}; {more})"
        return Row(name, figure, f"at most {most} ms" if most else "", most is None or median <= most)

    def request(self, cursor: Cursor) -> None:
        """Request the block at a reader's position."""
        block = cursor.block
        self.waiting[cursor.id] = self.rules.request(cursor, block, block, self.now, fresh=False)


def make_load(
    readers: int, *, strict: bool = True, pack: bool = False, wrapping: bool = False, slots: int = SLOTS
) -> Load:
    """Place readers and fill the ring."""
    rules = Rules(blocks=BLOCKS, slots=slots, run=RUN, patience=10.0, turn=2.0, strict=strict)
    load = Load(rules)
    dice = random.Random(readers)  # the same situation each time
    between = (slots // 2 if pack else BLOCKS) // readers
    cursors = []
    for number in range(readers):
        position = (BLOCKS // 3 if pack else 0) + number * between + dice.randrange(between)
        cursor = rules.open(number, start=position) if wrapping else rules.open(number)
        rules.move(cursor, position, sequential=True, now=load.now)
        cursors.append(cursor)
    for cursor in cursors:
        load.fill(cursor.block, slots if pack else -(-slots // readers))
    load.produce()
    load.milliseconds.clear()
    return load


def work(load: Load, decisions: int) -> None:
    """Read for readers chosen at random, until this many decisions were made."""
    dice = random.Random(decisions)
    cursors = list(load.rules.open_cursors.values())
    while len(load.milliseconds) < decisions:
        load.step(dice.choice(cursors))


def make_waiting(readers: int, *, strict: bool = True, wrapping: bool = False) -> Load:
    """Place readers that all wait for the block at their position, longer than their turn.

    The ring is full of the blocks after these.
    """
    rules = Rules(
        blocks=GAP * (readers + 1), slots=FEW_SLOTS, run=RUN, patience=10.0, turn=TURN, strict=strict
    )
    load = Load(rules, DISK_SECONDS)
    for number in range(readers):
        position = number * GAP
        cursor = rules.open(number, start=position) if wrapping else rules.open(number)
        rules.move(cursor, position, sequential=True, now=0.0)
        load.request(cursor)
        load.fill(position + 1, min(GAP - 1, max(1, FEW_SLOTS // readers)))
    load.now = 100 * TURN
    return load


def wait(load: Load, decisions: int) -> None:
    """Answer waiting readers, one read of the source at a time."""
    while len(load.milliseconds) < decisions:
        if isinstance(decision := load.read(), Rest):
            load.now = decision.until
        load.serve()


def at_work(decisions: int) -> Iterator[Row]:
    """Measure with readers at work."""
    for wrapping, pack, strict, readers in product((False, True), (False, True), (True, False), READERS):
        load = make_load(readers, wrapping=wrapping, pack=pack, strict=strict)
        work(load, decisions)
        name = (
            f"{readers:4} {'wrapping' if wrapping else 'in order'}, {'pack' if pack else 'spread'}, "
            f"pace {'strict' if strict else 'free'}"
        )
        most = (BAR + PER_MOVED * readers if pack else BAR) if readers == max(READERS) else None
        yield load.row(name, f"{load.steps / len(load.milliseconds):.1f} reads between", most)


def while_all_wait(decisions: int) -> Iterator[Row]:
    """Measure with readers that all wait."""
    for strict, wrapping, readers in product((True, False), (False, True), WAITING):
        load = make_waiting(readers, strict=strict, wrapping=wrapping)
        wait(load, decisions)
        before = time.thread_time()
        load.rules.waits(load.now)
        waits = (time.thread_time() - before) * 1000
        order, pace = "wrapping" if wrapping else "in order", "strict" if strict else "free"
        name = f"{readers:4} waiting, {order}, {pace}"
        yield load.row(name, f"all waits of a status {waits:.2f}", WAITING_BARS.get(readers))


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--decisions", type=int, default=1000, help="decisions in each situation [%(default)s]"
    )
    chosen = parser.parse_args()
    rows = [*at_work(chosen.decisions), *while_all_wait(chosen.decisions)]
    finish("one decision, median of processor time", rows)


if __name__ == "__main__":
    main()
