import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.status.rates import MEMORY, Rate, Rates, Speeds
from tests.documents import document, reader


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([(10.0, 5000)], None),
        ([(0.0, 0), (1.0, 5000), (2.0, 10)], None),
        ([(0.0, 0), (1.0, 5000), (2.0, 10), (3.0, 210)], 200.0),
        ([(1.0, 100), (1.0, 200), (2.0, 300)], 200.0),
    ],
    ids=["a single sample", "a counter that went back", "the next sample after it", "two at the same time"],
)
def test_a_rate_needs_two_samples(samples: list[tuple[float, int]], expected: float | None) -> None:
    """A counter that went back starts again; a clock of coarse steps causes no division by zero."""
    rate = Rate()
    for now, count in samples:
        rate.sample(now, count)

    assert expected == rate.value


@given(
    st.lists(st.floats(0.01, 10.0), min_size=1, max_size=20),
    st.integers(0, 10**12),
    st.integers(0, 10**9),
)
def test_a_steady_counter_has_its_rate(intervals: list[float], first: int, per_second: int) -> None:
    """At any intervals, from the second sample on, before the memory is full."""
    rate, now = Rate(), 0.0
    rate.sample(now, first)
    for interval in intervals:
        now += interval
        rate.sample(now, first + round(now * per_second))

    assert pytest.approx(per_second, rel=1e-3, abs=200) == rate.value


def test_old_samples_are_forgotten() -> None:
    """The rate of a reader that stopped falls by a factor of e in each MEMORY."""
    rate = Rate()
    rate.sample(0.0, 0)
    rate.sample(100.0, 100_000)
    rate.sample(100.0 + MEMORY, 100_000)
    value = rate.value

    assert value is not None
    assert value < 1000

    rate.sample(100.0 + 20 * MEMORY, 100_000)

    assert pytest.approx(0.0, abs=0.001) == rate.value


def test_the_first_document_has_no_rates() -> None:
    """A rate needs two documents."""
    assert Speeds() == Rates().update(document(reader(1)), 0.0)


def test_two_documents_give_the_rates_of_source_and_readers() -> None:
    """Each reader's, and the sum of all readers."""
    rates = Rates()
    rates.update(document(reader(1, delivered=0), reader(2, delivered=50), source={"bytes_read": 0}), 0.0)
    later = document(reader(1, delivered=20), reader(2, delivered=150), source={"bytes_read": 1000})
    speeds = rates.update(later, 2.0)

    assert Speeds(500.0, {1: 10.0, 2: 50.0}) == speeds
    assert 60.0 == speeds.together


def test_a_reader_that_left_is_forgotten_and_a_new_one_has_no_rate_yet() -> None:
    """Only the readers of the last document have rates."""
    rates = Rates()
    rates.update(document(reader(1, delivered=0)), 0.0)
    rates.update(document(reader(1, delivered=10)), 1.0)

    assert {} == rates.update(document(reader(2, delivered=99)), 2.0).readers


def test_a_new_producer_at_the_same_mount_point_starts_again() -> None:
    """A mount that was made again counts from zero, and so do its readers."""
    rates = Rates()
    rates.update(document(reader(1, delivered=0)), 0.0)
    rates.update(document(reader(1, delivered=10)), 1.0)

    assert Speeds() == rates.update(document(reader(1, delivered=500), pid=77), 2.0)
