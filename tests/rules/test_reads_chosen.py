"""What the rules choose is what they chose before, in worlds that seeds make."""

import pytest

from tests.rules.seeded import CHOSEN, WORLDS, digest

PARTS = 20


@pytest.mark.parametrize("part", range(PARTS))
def test_the_same_is_read_for_the_same_readers(part: int) -> None:
    """Each read, each rest, what is held and who waits for whom: a cheaper decision is no other decision."""
    chosen = CHOSEN.read_text().split()
    seeds = range(part, WORLDS, PARTS)

    assert WORLDS == len(chosen)
    assert [chosen[seed] for seed in seeds] == [digest(seed) for seed in seeds]
