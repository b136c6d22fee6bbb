"""What a decision costs, counted in calls of functions: no clock, and the same on any machine."""

import statistics
import sys
from types import FrameType
from unittest.mock import patch

import pytest

from contrib.bench.decision_cost import make_load, work
from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.rules import Rules


def calls(readers: int, slots: int, *, strict: bool, wrapping: bool) -> float:
    """Give the median of the calls, of Python's functions and of C's, that each of some decisions makes.

    Without those that put who has moved in their places: they are as many as have moved.
    """
    load = make_load(readers, slots=slots, strict=strict, wrapping=wrapping)
    counts: list[int] = []
    decide = Rules.decide

    def counting(rules: Rules, now: float) -> Read | Rest:
        counts.append(0)
        rules.order.settle(now)

        def called(_frame: FrameType, event: str, _what: object) -> None:
            counts[-1] += event in ("call", "c_call")

        before = sys.getprofile()
        sys.setprofile(called)
        try:
            return decide(rules, now)
        finally:
            sys.setprofile(before)

    with patch.object(Rules, "decide", counting):
        work(load, 60)
    return statistics.median(counts)


@pytest.mark.parametrize(("strict", "wrapping"), [(True, False), (False, True)])
def test_a_decision_among_a_thousand_is_a_few_hundred_calls(*, strict: bool, wrapping: bool) -> None:
    """A thousand readers far apart, a full ring of 100,000 slots: fewer calls than there are readers."""
    assert calls(1000, 100_000, strict=strict, wrapping=wrapping) < 1000


def test_a_decision_costs_the_same_however_large_the_ring() -> None:
    """With twice the slots, all full, a decision makes no more calls; both give the full look-ahead."""
    small, large = (calls(100, slots, strict=True, wrapping=True) for slots in (40_000, 80_000))

    assert large <= 1.1 * small
