"""A source that gives each block once, in order: the rules never ask it for anything else."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.errors import GoneError
from fanoutfs.ring.cursor import Request
from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.intake import Intake
from fanoutfs.ring.rules import Rules
from tests.rules.rings import PATIENCE, TURN, fill, next_read, put, reader, request, resident
from tests.rules.world import World


def in_order(blocks: int, slots: int, run: int = 1, *, strict: bool = True, kept: int = 0) -> Rules:
    return Rules(
        blocks=blocks,
        slots=slots,
        run=run,
        patience=PATIENCE,
        turn=TURN,
        strict=strict,
        intake=Intake(in_order=True, kept=kept, next=kept),
    )


def is_out_of_reach(rules: Rules, request: Request) -> bool:
    return rules.intake.is_out_of_reach(request, request.at % rules.blocks, rules.slots)


SHAPES = st.tuples(st.integers(2, 40), st.integers(2, 44), st.integers(1, 8))


@given(shape=SHAPES, readers=st.integers(1, 6), seed=st.integers(0, 1 << 30))
def test_readers_that_start_together_all_get_everything(
    shape: tuple[int, int, int], readers: int, seed: int
) -> None:
    """However unevenly they read: one pass, in order, and no block goes that one of them still needs."""
    blocks, slots, run = shape
    world, chance = World(in_order(blocks, slots, run), inspects=False), random.Random(seed)
    for _ in range(readers):
        world.step(world.join().cursor.id)
    for _ in range(60):
        for _ in range(chance.randint(0, 5)):
            world.step(chance.randint(1, readers), chance.choice([1, 1, 2, max(1, slots // 2), blocks]))
        world.now += chance.choice([0.0, TURN, TURN + 1])
        for number, walker in world.walkers.items():
            if walker.request is None and not walker.done:
                # None of them is dormant.
                world.step(number)
        world.produce()
        world.answer_all()
    world.finish()

    assert world.reads == list(range(blocks))
    assert all(walker.had == list(range(blocks)) for walker in world.walkers.values())


@given(
    shape=SHAPES,
    kept=st.integers(0, 10),
    events=st.lists(st.tuples(st.integers(0, 7), st.integers(0, 6), st.integers(0, 50)), max_size=80),
    strict=st.booleans(),
)
def test_whatever_readers_do_no_block_is_asked_for_out_of_order(
    shape: tuple[int, int, int], kept: int, events: list[tuple[int, int, int]], *, strict: bool
) -> None:
    """Late, jumping, wrapping, stalled and leaving readers change nothing about that."""
    blocks, slots, run = shape
    kept = min(kept, blocks)
    world = World(in_order(blocks, slots, run, strict=strict, kept=kept), inspects=False)
    for what, who, number in events:
        walkers = list(world.walkers)
        someone = walkers[who % len(walkers)] if walkers else None
        if what == 0 or someone is None:
            world.step(world.join(number % blocks if number % 3 else 0).cursor.id)
        elif what == 1:
            world.leave(someone)
        elif what == 2:
            world.jump(someone, number % blocks)
        elif what == 3:
            world.wait(float(number))
        elif what == 4:
            world.borrow()
        else:
            world.step(someone, 1 + number % 5)
            world.produce()
            world.answer_all()

    assert [block for block in world.reads if block >= kept] == list(
        range(kept, max([kept, *(block + 1 for block in world.reads)]))
    )


def test_a_probe_far_ahead_is_out_of_reach() -> None:
    """The pipe is not read on for it, and the readers in order go on."""
    rules = in_order(100, 16)
    probe = rules.open(1)
    ahead = rules.request(probe, 50, 50, 0.0, fresh=True)

    assert is_out_of_reach(rules, ahead)
    assert isinstance(rules.decide(0.0), Rest)


def test_a_read_ahead_of_the_reader_itself_is_waited_for() -> None:
    """As far as the ring has room for what lies between; all of that is read first."""
    rules = in_order(100, 16)
    walker = reader(rules, 0)
    near, far = rules.request(walker, 8, 8, 0.0, fresh=False), rules.request(walker, 9, 9, 0.0, fresh=False)

    assert [False, True] == [is_out_of_reach(rules, near), is_out_of_reach(rules, far)]
    rules.answered(far, 0.0)
    fill(rules)
    assert resident(rules) == set(range(9))


def test_what_was_passed_and_given_up_is_gone() -> None:
    """A late reader has no beginning; what the spool has kept is there for ever."""
    rules = in_order(100, 16, kept=2)
    late = rules.open(1)
    put(rules, [2, 3, 4])
    rules.intake.passed(range(2, 5))
    rules.require_beginning()
    rules.residency.remove(3)

    with pytest.raises(GoneError, match="its beginning has gone by"):
        rules.require_beginning()
    assert [False, True, False] == [
        is_out_of_reach(rules, rules.request(late, block, block, 0.0, fresh=True)) for block in (0, 3, 1)
    ]


def test_what_has_not_come_is_not_asked_for_while_others_are_served() -> None:
    """A pipe with a spool: the reader at its end waits, and one of what is in the spool does not."""
    rules = Rules(blocks=100, slots=16, run=2, patience=PATIENCE, turn=TURN)
    request(rules, reader(rules, 50), 50)
    rules.intake.dry_from = 50
    assert isinstance(rules.decide(0.0), Rest)
    request(rules, reader(rules, 47), 47)
    reads = fill(rules)

    assert [block for read in reads for block in read.blocks] == [47, 48, 49]
    rules.intake.dry_from = None
    following = rules.decide(0.0)
    assert isinstance(following, Read)
    assert following.first == 50


def test_an_image_that_ends_sooner_than_was_thought() -> None:
    """Who has all of it wants nothing beyond, and who lacks some of it still gets that."""
    rules = in_order(1 << 30, 16, run=2)
    front, back = reader(rules, 0), reader(rules, 0)
    while rules.intake.next < 6:
        rules.filled(next_read(rules), 0.0)
        rules.move(front, rules.intake.next, sequential=True, now=0.0)
    ahead = rules.request(front, 6, 6, 0.0, fresh=False)
    rules.shorten(6)
    rules.answered(ahead, 0.0)

    assert isinstance(rules.decide(0.0), Rest)
    assert (front.end, back.end, rules.held(0.0)) == (6, 6, 6)
    rules.move(back, 6, sequential=True, now=0.0)
    assert isinstance(rules.decide(0.0), Rest)
    assert rules.held(0.0) == 0
