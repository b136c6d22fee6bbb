"""The rules against a naive world, on whatever Hypothesis thinks of."""

import os
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanoutfs.ring.rules import Rules
from tests.rules.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = int(os.environ.get("FANOUTFS_EXAMPLES", "12"))
"""How many worlds each test looks at; some thousands when the rules have changed."""

# Worlds are built by many draws and take long when they are long: neither says anything about the rules.
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
    # Lists of a drawn length: left to itself Hypothesis prefers a handful, in which little happens.
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
    ways: dict[str, Callable[[], object]] = {
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
    if what in ways:
        ways[what]()


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


def check_to_the_end(rules: Rules, happens: list[Event], size: int) -> None:
    world = World(rules)
    happen(world, happens)
    world.finish(size=size)
    for walker in world.walkers.values():
        assert walker.had == list(range(walker.began, walker.end))


@many
@given(rings, events(in_order + always + rare), st.integers(1, 2))
def test_in_order_everybody_gets_every_block_of_its_way_once_and_in_order(
    rules: Rules, happens: list[Event], size: int
) -> None:
    """Joining, leaving, stopping and jumping readers: whoever goes on gets to the end, nobody waits for ever.

    The world checks each decision against a look at every block and every reader.
    """
    check_to_the_end(rules, happens, size)


@many
@given(rings, events(circle + always + rare), st.integers(1, 2))
def test_wrapping_everybody_gets_every_block_of_its_turn_once_and_in_order(
    rules: Rules, happens: list[Event], size: int
) -> None:
    """The same for readers that go round, also where each has the next in reach, and all would wait."""
    check_to_the_end(rules, happens, size)


@many
@given(rings, events(in_order + circle + always + rare), st.integers(1, 2))
def test_readers_of_both_kinds_do_not_get_into_each_others_way(
    rules: Rules, happens: list[Event], size: int
) -> None:
    """In-order and wrapping readers together: each gets to its own end."""
    check_to_the_end(rules, happens, size)


@many
@given(rings, events(shared + always + rare), st.integers(1, 2))
def test_what_is_granted_stays_until_it_is_freed_and_keeps_nobody(
    rules: Rules, happens: list[Event], size: int
) -> None:
    """Consumers that hold blocks while they copy them, lose them by stopping, leave: all get to their end.

    The world looks at each decision whether a block that is in somebody's hand went for it, and at each
    block that is freed whether it is still in the slot in which it was granted.
    """
    check_to_the_end(rules, happens, size)


@many
@given(rings, events(in_order + circle + shared + always + rare), st.integers(1, 2))
def test_granted_blocks_and_readers_of_both_kinds_do_not_get_into_each_others_way(
    rules: Rules, happens: list[Event], size: int
) -> None:
    """All three kinds of consumers together: each gets to its own end."""
    check_to_the_end(rules, happens, size)


@many
@given(rings, events(in_order + circle + shared + always + rare), st.sets(st.integers(0, 7)))
def test_those_who_stop_for_good_keep_nobody(rules: Rules, happens: list[Event], stopped: set[int]) -> None:
    """Whoever goes on gets to the end, though others never take anything again."""
    world = World(rules)
    happen(world, happens)
    numbers = list(world.walkers)
    goers = [number for i, number in enumerate(numbers) if i not in stopped]

    world.finish(goers)

    assert all(world.walkers[number].done for number in goers)


@many
@given(st.integers(2, 12), st.integers(1, 4), st.lists(st.integers(0, 4), max_size=300))
def test_a_pack_that_starts_together_is_served_by_one_pass(slots: int, run: int, steps: list[int]) -> None:
    """Five readers from 0 on, at whatever speeds: every block is read exactly once while nobody sleeps."""
    blocks = 24
    world = World(Rules(blocks=blocks, slots=slots, run=run, patience=1e9, turn=1e9))
    for _ in range(5):
        world.step(world.join().cursor.id)
    for who in steps:
        world.step(1 + who)
        world.produce()

    world.finish()

    assert sorted(world.reads) == list(range(blocks))


def test_a_latecomer_does_not_tear_a_pack_apart() -> None:
    """Three of unlike speeds span the ring when a fourth begins at 0: the front waits, all share one pass.

    What the latecomer has missed is read again, and what went for it, but no second pass begins.
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
