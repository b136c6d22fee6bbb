"""Readers that go round: examples that the rules once got wrong, or easily could."""

import math
import os
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.rules import Rules
from tests.rules.rings import make_rules, put, reader, request, resident
from tests.rules.world import World

EXAMPLES = int(os.environ.get("FANOUTFS_EXAMPLES", "12"))


def decide(rules: Rules, now: float = 0.0) -> tuple[Read | Rest, set[int]]:
    """Return the decision, and the blocks evicted for it."""
    before = resident(rules)
    decision = rules.decide(now)
    return decision, before - resident(rules)


def test_a_reader_in_its_second_lap_does_not_hide_the_needs_of_those_behind() -> None:
    """R2: beyond its end, blocks are kept for readers farther behind; a block that none needs is evicted."""
    rules = make_rules(blocks=20, slots=8)
    behind = reader(rules, at=2)
    reader(rules, start=6, at=25)
    put(rules, [0, *range(10, 17)])
    request(rules, behind, 2)

    _, gone = decide(rules)

    assert gone - {15, 16} == {0}
    assert 10 <= min(gone - {0}, default=math.inf)


def test_behind_a_reader_in_its_second_lap_the_highest_unneeded_block_goes_first() -> None:
    """R2: a gap of which readers need a part has unneeded blocks, at its upper end."""
    rules = make_rules(blocks=10, slots=8, run=2)
    reader(rules, start=0, at=9)
    second_lap = reader(rules, start=6, at=12)
    put(rules, [0, 1, 3, 4, 5, 6, 7, 8])
    request(rules, second_lap, 12)

    _, gone = decide(rules)

    assert gone == {7, 8}


def test_no_block_is_evicted_for_a_read_that_does_not_happen() -> None:
    """Blocks are evicted only with the decision to read; a read that waits leaves no slot free."""
    rules = make_rules(blocks=14, slots=11, run=2)
    reader(rules, start=0, at=5)
    reader(rules, start=0, at=11)
    front = reader(rules, start=12, at=13)
    rules.request(front, 13, 13, 0.0, fresh=True)
    put(rules, [0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12])

    decision, gone = decide(rules)

    assert isinstance(decision, Read) or not gone
    assert not (10 in gone and isinstance(decision, Read) and decision.first == 13)


def test_the_last_reader_on_a_line_waits_for_no_other() -> None:
    """R4: a reader ahead of it is not behind it over the image's end, however short the way round."""
    rules = make_rules(blocks=18, slots=11)
    reader(rules, at=11)
    last = reader(rules, at=3)
    put(rules, [*range(4, 8), *range(11, 18)])
    request(rules, last, 3)

    decision, gone = decide(rules)

    assert isinstance(decision, Read)
    assert (decision.first, gone) == (3, {16, 17})


def test_readers_in_a_ring_of_waits_need_not_wait() -> None:
    """R4: of three waiting readers, each in reach of the next, the nearest ahead of the head continues."""
    rules = make_rules(blocks=12, slots=6)
    cursors = [reader(rules, start=at, at=at) for at in (0, 4, 8)]
    put(rules, [1, 2, 5, 6, 9, 10])
    for cursor in cursors:
        request(rules, cursor, cursor.block)
    rules.begin_at(3)

    decision, gone = decide(rules)

    assert isinstance(decision, Read)
    assert decision.first == 4
    assert gone <= {2, 6, 10, 1, 5, 9}


def test_a_reader_that_can_move_is_waited_for() -> None:
    """R4 is for rings of waits alone: a reader whose next block is resident is in none."""
    rules = make_rules(blocks=12, slots=6)
    first, second, moving = (reader(rules, start=at, at=at) for at in (0, 4, 8))
    put(rules, [5, 6, 8, 9, 10, 11])
    request(rules, first, 0)
    request(rules, second, 4)

    assert rules.waits(0.0)[first.id] == moving.id


def test_the_last_of_a_pack_gets_a_block_behind_its_place() -> None:
    """The kernel asks again for a page that it has lost, while the ring is full of what that reader needs."""
    rules = make_rules(blocks=24, slots=6)
    last, front = reader(rules, at=1), reader(rules, at=7)
    put(rules, range(1, 7))
    request(rules, front, 7)
    rules.request(last, 0, 0, 0.0, fresh=False)

    decision, _ = decide(rules)

    assert isinstance(decision, Read)
    assert (decision.first, decision.detour) == (0, True)


@pytest.mark.parametrize("wraps", [False, True], ids=["in order", "wrapping"])
@pytest.mark.parametrize(("slots", "run"), [(20, 1), (40, 4)])
def test_a_wrapping_front_does_not_leave_a_slow_reader_behind(slots: int, run: int, *, wraps: bool) -> None:
    """The front waits at the end of the image as anywhere: one pass from when it joined."""
    world = World(Rules(blocks=400, slots=slots, run=run, patience=1e9, turn=1e9))
    slow = world.wrap() if wraps else world.join()
    world.step(slow.cursor.id)
    while len(world.reads) < 200:
        world.step(slow.cursor.id)
        world.produce()
    travelled = len(world.reads)
    fast = world.wrap()
    while not (slow.done and fast.done):
        for number in (slow.cursor.id, *[fast.cursor.id] * 3):
            world.step(number)
            world.produce()

    assert len(world.reads) == travelled + 400


speeds = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 6)), min_size=1, max_size=5)


@settings(max_examples=EXAMPLES)
@example([(0, 1), (43, 2), (60, 2)], 2, 1, 0)
@given(speeds, st.integers(2, 20), st.integers(1, 4), st.integers(0, 1 << 32))
def test_wrapping_readers_cost_one_pass_from_when_the_last_one_joins(
    joins: list[tuple[int, int]], slots: int, run: int, seed: int
) -> None:
    """Whenever they join and however fast they are: the blocks read by then, and the image once.

    A ring or two may be read twice: for readers that joined just before the image's end, and went round.
    """
    blocks, dice = 60, random.Random(seed)
    world = World(Rules(blocks=blocks, slots=slots, run=run, patience=1e9, turn=1e9))
    speed: dict[int, int] = {}
    travelled = 0
    waiting = sorted(joins)
    while waiting or not all(walker.done for walker in world.walkers.values()):
        resting = all(walker.done for walker in world.walkers.values())
        while waiting and (len(world.reads) >= waiting[0][0] or resting):
            walker = world.wrap()
            speed[walker.cursor.id] = waiting.pop(0)[1]
            world.step(walker.cursor.id)
            travelled = len(world.reads)
            resting = False
        for number in dice.sample(sorted(speed), len(speed)):
            for _ in range(speed[number] * dice.randrange(2)):
                world.step(number)
        world.produce()

    assert len(world.reads) <= travelled + blocks + 2 * slots
