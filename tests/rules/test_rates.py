import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.status.rates import MEMORY, Rate, Rates, Speeds
from tests.documents import document, reader


def test_a_rate_needs_two_samples() -> None:
    """One says how much, not how fast."""
    rate = Rate()
    rate.sample(10.0, 5000)

    assert rate.value is None


@given(
    st.lists(st.floats(0.01, 10.0), min_size=1, max_size=20),
    st.integers(0, 10**12),
    st.integers(0, 10**9),
)
def test_a_steady_counter_has_its_rate_whatever_the_intervals(
    intervals: list[float], first: int, per_second: int
) -> None:
    """From the second sample on, not only once the memory is full."""
    rate, now = Rate(), 0.0
    rate.sample(now, first)
    for interval in intervals:
        now += interval
        rate.sample(now, first + round(now * per_second))

    assert pytest.approx(per_second, rel=1e-3, abs=200) == rate.value


def test_what_is_long_ago_counts_for_nothing() -> None:
    """A reader that stands still goes to 0, by a factor of e for each MEMORY."""
    rate = Rate()
    rate.sample(0.0, 0)
    rate.sample(100.0, 100_000)
    rate.sample(100.0 + MEMORY, 100_000)
    value = rate.value

    assert value is not None
    assert value < 1000

    rate.sample(100.0 + 20 * MEMORY, 100_000)

    assert pytest.approx(0.0, abs=0.001) == rate.value


def test_a_counter_that_went_back_begins_anew() -> None:
    """A negative rate is nobody's."""
    rate = Rate()
    rate.sample(0.0, 0)
    rate.sample(1.0, 5000)
    rate.sample(2.0, 10)

    assert rate.value is None

    rate.sample(3.0, 210)

    assert 200.0 == rate.value


def test_a_second_sample_at_the_same_time_changes_nothing() -> None:
    """A clock of coarse steps is no reason to divide by zero."""
    rate = Rate()
    rate.sample(1.0, 100)
    rate.sample(1.0, 200)
    rate.sample(2.0, 300)

    assert 200.0 == rate.value


def test_the_first_document_has_no_rates() -> None:
    """Nothing is said before it is known."""
    assert Speeds() == Rates().update(document(reader(1)), 0.0)


def test_two_documents_give_the_rates_of_source_and_readers() -> None:
    """Each by itself, and the readers together."""
    rates = Rates()
    rates.update(document(reader(1, delivered=0), reader(2, delivered=50), source={"bytes_read": 0}), 0.0)
    later = document(reader(1, delivered=20), reader(2, delivered=150), source={"bytes_read": 1000})
    speeds = rates.update(later, 2.0)

    assert Speeds(500.0, {1: 10.0, 2: 50.0}) == speeds
    assert 60.0 == speeds.together


def test_a_reader_that_left_is_forgotten_and_one_that_came_has_no_rate_yet() -> None:
    """A page shows those who are there."""
    rates = Rates()
    rates.update(document(reader(1, delivered=0)), 0.0)
    rates.update(document(reader(1, delivered=10)), 1.0)

    assert {} == rates.update(document(reader(2, delivered=99)), 2.0).readers


def test_another_producer_at_the_same_place_begins_anew() -> None:
    """A mount that was taken down and made again counts from zero, readers and all."""
    rates = Rates()
    rates.update(document(reader(1, delivered=0)), 0.0)
    rates.update(document(reader(1, delivered=10)), 1.0)

    assert Speeds() == rates.update(document(reader(1, delivered=500), pid=77), 2.0)
