"""The rules against a naive world, with random events."""

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanoutfs.ring.rules import Rules
from tests.rules.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = int(os.environ.get("FANOUTFS_EXAMPLES", "12"))
"""How many worlds each test tries; set some thousands after a change of the rules."""

# A world takes many draws, and long ones take long.
slow = (HealthCheck.too_slow, HealthCheck.large_base_example, HealthCheck.data_too_large)
many = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=slow)

Event = tuple[str, int, int]

rings = st.builds(
    Rules,
    blocks=st.integers(8, 40),
    slots=st.integers(2, 44),
    run=st.integers(1, 8),
    patience=st.just(10.0),
    turn=st.just(2.0),
    strict=st.booleans(),
)
in_order = ["join", "join", "probe", "jump", "again"]
circle = ["wrap", "wrap"]
shared = ["borrow", "borrow", "grab", "grab", "revoke"]
always = ["step", "step", "step", "pair", "stroll", "round", "begin", "end", "produce", "slow"]
rare = ["leave", "stall", "wait", "spoil"]


def events(kinds: list[str], most: int = 100) -> st.SearchStrategy[list[Event]]:
    event = st.tuples(st.sampled_from(kinds), st.integers(0, 39), st.integers(0, 7))
    # Lists of a drawn length: by default Hypothesis prefers a few events, in which little happens.
    return st.integers(0, most).flatmap(lambda n: st.lists(event, min_size=n, max_size=n))


def act(world: World, what: str, place: int, who: int) -> None:
    if world.walkers:
        number = list(world.walkers)[who % len(world.walkers)]
        act_of_one(world, what, number, place % world.rules.blocks)
    if what == "join":
        world.join()
    elif what == "wrap":
        world.wrap()
    elif what == "borrow":
        world.borrow()
    elif what == "probe":
        world.step(world.join(place % world.rules.blocks).cursor.id)
    else:
        act_of_source(world, what, place)


def act_of_source(world: World, what: str, place: int) -> None:
    if what in ("begin", "slow"):
        world.begin()
    if what in ("end", "slow"):
        world.end(place / 10)
    elif what == "produce":
        world.produce()
    elif what == "wait":
        world.wait(place / 3)
    elif what == "spoil":
        world.spoil(place)


def act_of_one(world: World, what: str, number: int, place: int) -> None:
    acts: dict[str, Callable[[], object]] = {
        "leave": lambda: world.leave(number),
        "jump": lambda: world.jump(number, place),
        "again": lambda: world.again(number, 1 + place),
        "grab": lambda: world.grab(number),
        "revoke": lambda: world.revoke(number),
        "stall": lambda: world.stall(number, 1 + place % 2),
        "stroll": lambda: stroll(world, number, place),
        "round": lambda: go_round(world),
        "step": lambda: world.step(number),
        "pair": lambda: world.step(number, 2),
    }
    if what in acts:
        acts[what]()


def stroll(world: World, number: int, steps: int) -> None:
    for _ in range(steps):
        world.step(number)
        world.produce()


def go_round(world: World) -> None:
    for other in world.walkers:
        world.step(other)
    world.produce()


def happen(world: World, happens: list[Event]) -> None:
    for what, place, who in happens:
        act(world, what, place, who)


@pytest.mark.parametrize(
    "kinds",
    [in_order, circle, in_order + circle, shared, in_order + circle + shared],
    ids=["in order", "wrapping", "in order and wrapping", "consumers", "all kinds"],
)
@many
@given(rings, st.data(), st.integers(1, 2))
def test_every_reader_gets_every_block_of_its_way_once_and_in_order(
    kinds: list[str], rules: Rules, data: st.DataObject, size: int
) -> None:
    """Readers join, leave, stop and jump: each that continues reaches its end, none waits for ever.

    Also if every reader has the next in reach behind it, and if consumers hold blocks or lose them. The world
    checks each decision against every block and every reader, and that each block a consumer frees is in
    the slot in which it was granted.
    """
    world = World(rules)
    happen(world, data.draw(events(kinds + always + rare)))
    world.finish(size=size)
    for walker in world.walkers.values():
        assert walker.had == list(range(walker.began, walker.end))


@many
@given(rings, events(in_order + circle + shared + always + rare), st.sets(st.integers(0, 7)))
def test_readers_that_stop_for_ever_hold_none(rules: Rules, happens: list[Event], stopped: set[int]) -> None:
    """Each reader that continues reaches its end, though others never take a block again."""
    world = World(rules)
    happen(world, happens)
    numbers = list(world.walkers)
    goers = [number for i, number in enumerate(numbers) if i not in stopped]

    world.finish(goers)

    assert all(world.walkers[number].done for number in goers)


@many
@given(st.integers(2, 12), st.integers(1, 4), st.lists(st.integers(0, 4), max_size=300))
def test_a_pack_that_starts_together_is_served_by_one_pass(slots: int, run: int, steps: list[int]) -> None:
    """Five readers from block 0, at any speeds: each block is read exactly once while none stops."""
    blocks = 24
    world = World(Rules(blocks=blocks, slots=slots, run=run, patience=1e9, turn=1e9))
    for _ in range(5):
        world.step(world.join().cursor.id)
    for who in steps:
        world.step(1 + who)
        world.produce()

    world.finish()

    assert sorted(world.reads) == list(range(blocks))


def test_a_latecomer_does_not_split_a_pack() -> None:
    """Three of different speeds span the ring when a fourth begins at 0: the front waits, all share one pass.

    The blocks that the latecomer missed, or that were evicted for it, are read again; no second pass begins.
    """
    world = World(Rules(blocks=256, slots=64, run=4, patience=1e9, turn=1e9))
    steps = {1: 6, 2: 2, 3: 1, 4: 6}
    for _ in range(3):
        world.join()
    while not world.walkers[3].done:
        for number in world.walkers:
            for _ in range(steps[number]):
                world.step(number)
            world.produce()
        if world.joined == 3 and world.walkers[3].place == 16:
            world.join()

    world.finish()

    assert len(world.reads) <= 1.2 * 256
