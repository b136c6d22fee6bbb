"""Consumers that stop, go on, die and come late, against a plain model: each copy is right or not done."""

import os
import random

import attrs
import pytest
import trio
from trio.testing import MockClock

from fanoutfs.units import PAGE
from tests.tasks.borrowing import Copy, borrow, is_empty, lend
from tests.tasks.rig import Rig, make_rig, read_all

SEEDS = range(int(os.environ.get("FANOUTFS_SEEDS", "25")))
"""Some hundreds when the lender has changed."""

PATIENCE = 5.0


@attrs.define(eq=False)
class Crowd:
    """Everybody who uses one ring; nothing else here is random."""

    rig: Rig
    chance: random.Random
    copies: list[Copy] = attrs.field(factory=list)
    contents: list[bytes] = attrs.field(factory=list)
    """What the readers in order got."""
    died: int = 0

    async def copy(self) -> None:
        """Come, copy in pieces, stop now and then for longer than the patience, perhaps die on the way."""
        chance, rules = self.chance, self.rig.ring.rules
        await trio.sleep(chance.uniform(0, 10))
        lender = lend(self.rig, rules.head, window=chance.randint(1, 5))
        made = Copy(borrow(lender))
        lives = chance.choice([1e9, 1e9, chance.uniform(0, 20)])
        try:
            with trio.move_on_after(lives):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(lender.run)
                    while not made.done:
                        await trio.sleep(chance.choice([0, 0, 0, 0.3, PATIENCE, 2 * PATIENCE]))
                        await made.some(chance.randint(1, 4), chance.choice([0, 0.1, 1, 2 * PATIENCE]))
                    nursery.cancel_scope.cancel()
        finally:
            lender.close()
            made.close()
        if made.done:
            self.copies.append(made)
        else:
            self.died += 1

    async def read(self) -> None:
        """Read the image in order, from any time on."""
        await trio.sleep(self.chance.uniform(0, 10))
        self.contents.append(await read_all(self.rig.open(), self.chance.choice([1000, PAGE, 3 * PAGE])))


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_the_others_do_a_copy_is_right_and_leaves_nothing(
    seed: int, autojump_clock: MockClock
) -> None:
    """Each that lived has every block, in order, and has counted it once; all gauges are zero in the end."""
    chance = random.Random(seed)
    size = chance.randint(1, 30 * PAGE)
    rig = make_rig(size, chance.randint(2, 10), run=chance.randint(1, 4), patience=PATIENCE, seconds=0.2)
    crowd = Crowd(rig, chance)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        with trio.fail_after(5000):
            async with trio.open_nursery() as consumers:
                for _ in range(chance.randint(1, 6)):
                    consumers.start_soon(crowd.copy)
                for _ in range(chance.randint(0, 2)):
                    consumers.start_soon(crowd.read)
        left = is_empty(rig)
        nursery.cancel_scope.cancel()

    assert left
    assert [made.content == rig.content for made in crowd.copies] == [True] * len(crowd.copies)
    for made in crowd.copies:
        assert made.places == list(range(made.borrower.turn.start, made.borrower.end))
    assert crowd.contents == [rig.content] * len(crowd.contents)


async def test_the_crowds_do_what_they_should(autojump_clock: MockClock) -> None:
    """Of a few of them some die, and some lose what they had: else the test above would prove nothing."""
    crowds = []
    for seed in range(6):
        crowd = Crowd(make_rig(30 * PAGE, 4, patience=PATIENCE, seconds=0.2), random.Random(seed))
        crowds.append(crowd)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crowd.rig.produce)
            async with trio.open_nursery() as consumers:
                for _ in range(4):
                    consumers.start_soon(crowd.copy)
            nursery.cancel_scope.cancel()

    assert sum(crowd.died for crowd in crowds) > 2
    assert sum(made.lost for crowd in crowds for made in crowd.copies) > 5
    assert sum(len(crowd.copies) for crowd in crowds) > 10
