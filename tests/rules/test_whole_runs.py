"""Runs are whole where that delays no reader: each read has a cost, and each decision."""

from functools import partial

import pytest

from fanoutfs.ring.cursor import Cursor
from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.rules import Rules
from tests.rules import rings
from tests.rules.rings import next_read, put, reader
from tests.rules.world import World

SLOTS, RUN = 64, 8
make_rules = partial(rings.make_rules, 4096, SLOTS, RUN)


def spread(rules: Rules, hindmost: int, front: int) -> list[Cursor]:
    """Return eight readers between two blocks, with all blocks between hindmost and front resident."""
    put(rules, range(hindmost, front))
    rules.begin_at(front)
    return [reader(rules, front - number * (front - hindmost) // 7) for number in range(8)]


def run_of(rules: Rules) -> range:
    read = next_read(rules)
    rules.filled(read, 0.0)
    return read.blocks


def test_a_run_continues_in_slots_that_no_reader_needs() -> None:
    """Eight readers share a look-ahead with runs of two blocks; the blocks behind them are evicted."""
    rules = make_rules()
    put(rules, range(1024 - 64, 1024 - 49))
    spread(rules, 1024 - 49, 1024)

    assert range(1024, 1032) == run_of(rules)
    assert rules.ahead.run_boundary < RUN


def test_a_run_begins_anywhere_and_ends_at_its_boundary() -> None:
    """So the next run is whole."""
    rules = make_rules()
    spread(rules, 1000, 1027)

    assert range(1027, 1032) == run_of(rules)


def test_a_run_does_not_continue_where_no_reader_needs_it() -> None:
    """All readers end before the boundary."""
    rules = make_rules()
    for cursor in spread(rules, 1000, 1024):
        cursor.end = 1028
        rules.cursors.changed(cursor)

    blocks = run_of(rules)

    assert blocks.start == 1024
    assert blocks.stop <= 1028


@pytest.mark.parametrize("strict", [True, False], ids=["another pack", "no pace"])
def test_a_run_does_not_continue_into_slots_that_may_be_needed(*, strict: bool) -> None:
    """A reader is far behind, or no pace keeps blocks that were read ahead: the look-ahead limits runs."""
    rules = make_rules(strict=strict)
    if strict:
        reader(rules, 100)
    spread(rules, 1000, 1024)

    assert run_of(rules).stop % rules.ahead.run_boundary == 0
    assert rules.head < 1032


def test_a_front_that_waits_for_a_reader_behind_gets_whole_runs() -> None:
    """The hindmost reads block by block; the front gets a run when there is room for all of it."""
    rules = make_rules()
    *others, hindmost = spread(rules, 1008, 1064)
    for other in others:
        rules.move(other, 1064, sequential=True, now=0.0)
    asleep = rules.decide(0.0)
    runs, woken = [], []
    for block in range(1009, 1033):
        if rules.move(hindmost, block, sequential=True, now=0.0):
            woken.append(block)
            runs.append(run_of(rules))
            for other in others:
                rules.move(other, rules.head, sequential=True, now=0.0)
            assert isinstance(rules.decide(0.0), Rest)

    assert isinstance(asleep, Rest)
    assert [range(1064, 1072), range(1072, 1080), range(1080, 1088)] == runs
    assert [1010, 1018, 1026] == woken, "the pack has 62 slots: two are the reserve"


def test_a_reader_that_is_not_waited_for_wakes_no_producer() -> None:
    """While the front waits for the hindmost, a decision for a reader between them would be in vain."""
    rules = make_rules()
    front, *between, hindmost = spread(rules, 1008, 1064)
    assert isinstance(rules.decide(0.0), Rest)

    for cursor in between:
        for block in range(cursor.block + 1, 1065):
            assert not rules.move(cursor, block, sequential=True, now=0.0)
            assert isinstance(rules.decide(0.0), Rest)
    assert front.block == 1064
    assert rules.close(hindmost)


def test_eight_that_span_the_ring_are_served_in_whole_runs() -> None:
    """Seven as fast as memory, one slower: each read is a whole run, few decisions are in vain."""
    world = World(Rules(blocks=512, slots=SLOTS, run=RUN, patience=1e9, turn=1e9))
    walkers = [world.join() for _ in range(8)]
    slow = walkers[0].cursor.id
    reads: list[int] = []
    rests = 0
    while not all(walker.done for walker in walkers):
        for number in world.walkers:
            world.step(number, 1 if number == slow else RUN)
        world.answer_all()
        decision = world.begin()
        if isinstance(decision, Read):
            reads.append(len(decision.slots))
        rests += isinstance(decision, Rest)
        world.end()

    assert [RUN] * (512 // RUN) == reads
    assert rests <= 3 * len(reads)
