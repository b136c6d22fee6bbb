"""Worlds made from seeds: the rules decide as they did before, and rightly."""

import os

import pytest

from tests.rules.seeded import CHOSEN, WORLDS, digest

PARTS = 20
FIRST = int(os.environ.get("FANOUTFS_SEED", "1000000"))


@pytest.mark.parametrize("part", range(PARTS))
def test_the_same_is_read_for_the_same_readers(part: int) -> None:
    """Each read and rest, the held blocks and the waiting readers: an optimization changes no decision."""
    chosen = CHOSEN.read_text().split()
    seeds = range(part, WORLDS, PARTS)

    assert WORLDS == len(chosen)
    assert [chosen[seed] for seed in seeds] == [digest(seed) for seed in seeds]


@pytest.mark.parametrize(
    "count", [40, pytest.param(int(os.environ.get("FANOUTFS_EXAMPLES", "300")), marks=pytest.mark.soak)]
)
def test_each_decision_in_such_a_world_is_one_that_the_rules_allow(count: int) -> None:
    """Checked block by block and reader by reader, also with a waiting crowd."""
    for seed in range(FIRST, FIRST + count):
        try:
            digest(seed, inspects=True)
        except AssertionError as error:
            pytest.fail(f"seed {seed}: {error}")
