"""The cost of a decision, in function calls: no clock, and the same on any machine."""

import contextlib
import statistics
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from unittest.mock import patch

import pytest

from contrib.bench.decision_cost import Load, make_load, make_waiting, wait, work
from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.rules import Rules


def calls(load: Load, go_on: Callable[[Load, int], None], decisions: int = 60) -> float:
    """Return the median number of function calls, in Python and C, of some decisions.

    The calls that sort the readers that have moved are not counted.
    """
    counts: list[int] = []
    decide = Rules.decide

    def counting(rules: Rules, now: float) -> Read | Rest:
        rules.cursors.settle(now)
        with counted(counts):
            return decide(rules, now)

    with patch.object(Rules, "decide", counting):
        go_on(load, decisions)
    return statistics.median(counts)


@contextlib.contextmanager
def counted(counts: list[int]) -> Iterator[None]:
    """Append the number of calls made in the block to ``counts``."""
    counts.append(0)

    def called(_frame: FrameType, event: str, _what: object) -> None:
        counts[-1] += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(called)
    try:
        yield
    finally:
        sys.setprofile(before)


@pytest.mark.parametrize(("strict", "wrapping"), [(True, False), (False, True)])
def test_a_decision_among_a_thousand_is_a_few_hundred_calls(*, strict: bool, wrapping: bool) -> None:
    """A thousand readers far apart, a full ring of 100,000 slots: fewer calls than there are readers."""
    load = make_load(1000, slots=100_000, strict=strict, wrapping=wrapping)
    assert calls(load, work) < 1000


def test_a_decision_costs_the_same_however_large_the_ring() -> None:
    """With twice the slots, all full, a decision makes no more calls; both have the full look-ahead."""
    small, large = (calls(make_load(100, slots=slots, wrapping=True), work) for slots in (40_000, 80_000))

    assert large <= 1.1 * small


@pytest.mark.parametrize("wrapping", [False, True])
@pytest.mark.parametrize("strict", [True, False])
def test_a_decision_is_some_calls_for_each_reader_when_all_wait(*, strict: bool, wrapping: bool) -> None:
    """All are overdue, and with a strict pace each but the last waits for the one behind it."""
    few, many = (
        calls(make_waiting(readers, strict=strict, wrapping=wrapping), wait, 12) for readers in (100, 400)
    )

    assert few < 100 * 20
    assert many < 4.4 * few


@pytest.mark.parametrize("wrapping", [False, True])
def test_the_waits_of_all_readers_cost_little(*, wrapping: bool) -> None:
    """A status costs a few calls for each waiting reader, however many there are."""
    few, many = (_calls_of_waits(make_waiting(readers, wrapping=wrapping)) for readers in (100, 400))

    assert few < 100 * 50
    assert many < 4.4 * few


def test_readers_that_are_not_behind_a_reader_are_passed_over_once() -> None:
    """Half have nearly finished their turn; the other half, before them, has just begun and waits for none.

    The turns of the first half end before the second half, so none of them is behind it.
    """
    few, many = (calls(_late_and_early(readers), wait, 12) for readers in (100, 400))

    assert few < 100 * 20
    assert many < 4.4 * few


def _late_and_early(readers: int) -> Load:
    half = readers // 2
    blocks = 100_000
    load = Load(Rules(blocks=blocks, slots=4000, run=8, patience=10.0, turn=2.0), 0.08)
    for number in range(readers):
        late = number < half
        start = 50_000 + (0 if late else 2 * number)
        cursor = load.rules.open(number, start=start)
        place = start + blocks - 2 * (half - number) if late else start
        load.rules.move(cursor, place, sequential=True, now=0.0)
        load.request(cursor)
    load.now = 200.0
    return load


def _calls_of_waits(load: Load) -> int:
    counts: list[int] = []
    with counted(counts):
        found = load.rules.waits(load.now)
    assert len(found) >= len(load.rules.open_cursors) - 2
    return counts[0]
