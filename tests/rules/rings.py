"""Rules with readers and resident blocks, for examples small enough to draw."""

from collections.abc import Iterable

from fanoutfs.ring.cursor import Cursor
from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.rules import Rules

PATIENCE, TURN = 10.0, 2.0


def make_rules(blocks: int = 1000, slots: int = 16, run: int = 1, *, strict: bool = True) -> Rules:
    return Rules(blocks=blocks, slots=slots, run=run, patience=PATIENCE, turn=TURN, strict=strict)


def reader(rules: Rules, at: int, *, start: int | None = None) -> Cursor:
    """Return a sequential reader at a block: an in-order one, or a wrapping one from ``start``."""
    cursor = rules.open(len(rules.open_cursors) + 1, start=start)
    rules.move(cursor, at, sequential=True, now=0.0)
    return cursor


def put(rules: Rules, blocks: Iterable[int]) -> None:
    """Make blocks resident."""
    for block in blocks:
        rules.residency.add(block, rules.residency.lend_slot(after=-1))


def resident(rules: Rules) -> set[int]:
    return set(rules.residency.slot_of)


def request(rules: Rules, cursor: Cursor, block: int) -> None:
    rules.request(cursor, block, block, 0.0, fresh=False)


def next_read(rules: Rules, now: float = 0.0) -> Read:
    """Return a decision, which must be a read."""
    decision = rules.decide(now)
    assert isinstance(decision, Read)
    return decision


def fill(rules: Rules, now: float = 0.0, most: int = 1000) -> list[Read]:
    """Read until the rules rest; the source takes no time."""
    reads = []
    for _ in range(most):
        decision = rules.decide(now)
        if isinstance(decision, Rest):
            break
        rules.filled(decision, 0.0)
        reads.append(decision)
    return reads


def travel(rules: Rules, cursor: Cursor, places: Iterable[int]) -> list[Read]:
    """Move a reader from place to place; at each, read until the rules rest."""
    reads = []
    for place in places:
        rules.move(cursor, place, sequential=True, now=0.0)
        reads += fill(rules)
    return reads
