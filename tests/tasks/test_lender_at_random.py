"""Consumers that stop, continue, die and join late: each copy is right or incomplete."""

import os
import random

import attrs
import pytest
import trio
from trio.testing import MockClock

from fanoutfs.shm import lender as lender_module
from fanoutfs.units import PAGE
from tests.tasks.borrowing import Copy, copying, is_empty, lend
from tests.tasks.rig import Rig, background, make_rig, read_all

SEEDS = range(int(os.environ.get("FANOUTFS_SEEDS", "25")))
"""Set some hundreds after a change of the lender."""

PATIENCE = 5.0


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut no consumer off: these stop again and again, and are to end right all the same."""
    monkeypatch.setattr(lender_module, "MOST_FRUITLESS", 1_000_000)


@attrs.define(eq=False)
class Crowd:
    """All consumers and readers of one ring; only they are random."""

    rig: Rig
    chance: random.Random
    copies: list[Copy] = attrs.field(factory=list)
    contents: list[bytes] = attrs.field(factory=list)
    """The contents that the in-order readers got."""
    died: int = 0

    async def copy(self) -> None:
        """Copy in pieces, stop now and then for longer than the patience, perhaps die on the way."""
        chance, rules = self.chance, self.rig.ring.rules
        await trio.sleep(chance.uniform(0, 10))
        lender = lend(self.rig, rules.head, window=chance.randint(1, 5))
        lives = chance.choice([1e9, 1e9, chance.uniform(0, 20)])
        with trio.move_on_after(lives):
            async with copying(lender) as made:
                while not made.done:
                    await trio.sleep(chance.choice([0, 0, 0, 0.3, PATIENCE, 2 * PATIENCE]))
                    await made.some(chance.randint(1, 4), chance.choice([0, 0.1, 1, 2 * PATIENCE]))
        if made.done:
            self.copies.append(made)
        else:
            self.died += 1

    async def read(self) -> None:
        """Read the image in order, beginning at any time."""
        await trio.sleep(self.chance.uniform(0, 10))
        self.contents.append(await read_all(self.rig.open(), self.chance.choice([1000, PAGE, 3 * PAGE])))


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_copy_is_right_whatever_the_others_do(seed: int, autojump_clock: MockClock) -> None:
    """Each copy that lived has every block in order, counted once; all gauges are zero in the end."""
    chance = random.Random(seed)
    size = chance.randint(1, 30 * PAGE)
    rig = make_rig(size, chance.randint(2, 10), run=chance.randint(1, 4), patience=PATIENCE, seconds=0.2)
    crowd = Crowd(rig, chance)

    async with background(rig.produce):
        with trio.fail_after(5000):
            async with trio.open_nursery() as consumers:
                for _ in range(chance.randint(1, 6)):
                    consumers.start_soon(crowd.copy)
                for _ in range(chance.randint(0, 2)):
                    consumers.start_soon(crowd.read)
        left = is_empty(rig)

    assert left
    assert [made.content == rig.content for made in crowd.copies] == [True] * len(crowd.copies)
    for made in crowd.copies:
        assert made.places == list(range(made.borrower.turn.start, made.borrower.end))
    assert crowd.contents == [rig.content] * len(crowd.contents)


async def test_the_crowds_do_what_they_should(autojump_clock: MockClock) -> None:
    """Some consumers die, and some lose blocks: otherwise the test above would prove nothing."""
    crowds = []
    for seed in range(6):
        crowd = Crowd(make_rig(30 * PAGE, 4, patience=PATIENCE, seconds=0.2), random.Random(seed))
        crowds.append(crowd)
        async with background(crowd.rig.produce), trio.open_nursery() as consumers:
            for _ in range(4):
                consumers.start_soon(crowd.copy)

    assert sum(crowd.died for crowd in crowds) > 2
    assert sum(made.lost for crowd in crowds for made in crowd.copies) > 5
    assert sum(len(crowd.copies) for crowd in crowds) > 10
