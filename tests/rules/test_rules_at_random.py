"""The rules against a naive world, on whatever Hypothesis thinks of."""

from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.ring.rules import Rules
from tests.rules.world import World

BLOCKS = 24
rings = st.builds(
    Rules,
    blocks=st.just(BLOCKS),
    slots=st.integers(2, 12),
    run=st.integers(1, 4),
    patience=st.just(10.0),
    turn=st.just(2.0),
    strict=st.booleans(),
)
events = st.lists(
    st.tuples(
        st.sampled_from(["join", "probe", "leave", "jump", "step", "step", "step", "produce", "wait"]),
        st.integers(0, BLOCKS - 1),
        st.integers(0, 7),
    ),
    max_size=80,
)


def act(world: World, what: str, place: int, who: int) -> None:
    if what == "join":
        world.join(0, counts=True)
    elif what == "probe":
        world.join(place, counts=False)
    elif what == "produce":
        world.produce()
    elif what == "wait":
        world.now += place / 3
    elif world.walkers:
        number = list(world.walkers)[who % len(world.walkers)]
        if what == "leave":
            world.leave(number)
        elif what == "jump":
            world.jump(number, place)
        else:
            world.step(number)


@given(rings, events)
def test_everybody_gets_every_block_of_its_way_once_and_in_order(
    rules: Rules, happens: list[tuple[str, int, int]]
) -> None:
    """Joining, leaving, stopping and jumping readers: whoever goes on gets to the end, nobody waits for ever.

    The world checks at each decision that what went had the farthest next use, and that no slot was lost.
    """
    world = World(rules)
    for what, place, who in happens:
        act(world, what, place, who)
    starts = {number: (w.point.block, len(w.had)) for number, w in world.walkers.items()}

    world.finish()

    for number, (block, had) in starts.items():
        assert world.walkers[number].had[had:] == list(range(block, BLOCKS))


@given(st.integers(2, 12), st.integers(1, 4), st.lists(st.integers(0, 4), max_size=300))
def test_a_pack_that_starts_together_is_served_by_one_pass(slots: int, run: int, steps: list[int]) -> None:
    """Five readers from 0 on, at whatever speeds: every block is read exactly once while nobody sleeps."""
    world = World(Rules(blocks=BLOCKS, slots=slots, run=run, patience=1e9, turn=1e9))
    for _ in range(5):
        world.join(0, counts=True)
    numbers = list(world.walkers)
    for who in steps:
        world.step(numbers[who])
        world.produce()

    world.finish()

    assert sorted(world.reads) == list(range(BLOCKS))


def test_a_latecomer_does_not_tear_a_pack_apart() -> None:
    """Three of unlike speeds span the ring when a fourth begins at 0: the front waits, all share one pass.

    What the latecomer has missed is read again, and what went for it, but no second pass begins.
    """
    world = World(Rules(blocks=256, slots=64, run=4, patience=1e9, turn=1e9))
    steps = {1: 6, 2: 2, 3: 1, 4: 6}
    for _ in range(3):
        world.join(0, counts=True)
    while world.walkers[3].point.block < 256:
        for number in world.walkers:
            for _ in range(steps[number]):
                world.step(number)
            world.produce()
        if world.joined == 3 and world.walkers[3].point.block == 16:
            world.join(0, counts=True)

    world.finish()

    assert len(world.reads) <= 1.2 * 256
