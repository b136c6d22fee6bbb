"""Readers far apart, each at its target's pace: the blocks that the rules read, against the minimum."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rules.optimum import Situation, fewest_of_all, least_recently_used, of_the_rules, optimum

BLOCKS = 800
FEWER = 400
"""Blocks of an image that the rules read: each decision takes time."""
SITUATIONS = [
    Situation(8, FEWER // 8, FEWER, FEWER // 8),
    Situation(8, FEWER // 8, FEWER, FEWER // 4),
    Situation(8, FEWER // 8, FEWER, FEWER // 2),
    Situation(4, FEWER // 4, FEWER, FEWER // 20),
    Situation(4, FEWER // 4, FEWER, FEWER // 2),
    Situation(3, FEWER // 5, FEWER, FEWER // 10),
    Situation(2, FEWER // 2, FEWER, FEWER // 4),
    Situation(5, FEWER // 16, FEWER, FEWER // 5),
]


@given(st.lists(st.integers(0, 4), max_size=12), st.integers(1, 4))
def test_beladys_rule_is_the_best_of_all_ways(trace: list[int], slots: int) -> None:
    """On traces small enough to try every choice of evictions, none has fewer misses."""
    assert optimum(trace, slots) == fewest_of_all(trace, slots)


@pytest.mark.parametrize(("part", "passes", "lru"), [(8, 6.2675, 8.0), (4, 4.765, 7.75), (2, 2.51, 6.5)])
def test_the_passes_of_eight_readers_an_eighth_apart(part: int, passes: float, lru: float) -> None:
    """The minimum with a ring of an eighth, a quarter and a half; LRU is far above it."""
    trace = Situation(8, BLOCKS // 8, BLOCKS, BLOCKS // part).trace()

    assert optimum(trace, BLOCKS // part) / BLOCKS == passes
    assert least_recently_used(trace, BLOCKS // part) / BLOCKS == lru


@pytest.mark.parametrize("situation", SITUATIONS, ids=str)
def test_without_pace_the_rules_read_what_the_optimum_reads(situation: Situation) -> None:
    """Within 2 %, though they know neither later readers nor that all have one rate."""
    least = optimum(situation.trace(), situation.slots)

    assert least <= of_the_rules(situation) <= 1.02 * least
