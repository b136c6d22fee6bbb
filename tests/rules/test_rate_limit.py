"""The rate at which the source may be read, on times of day made up."""

from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.source.rate_limit import RateLimit

counts = st.lists(st.tuples(st.integers(1, 1 << 30), st.floats(0.0, 100.0)), min_size=1, max_size=50)


def test_without_a_limit_nobody_waits() -> None:
    """However much was read just now."""
    rate = RateLimit()
    rate.began(5.0, 1 << 60)

    assert rate.wait(5.0) == 0.0


def test_the_first_read_waits_for_nothing() -> None:
    """Nothing was read before it."""
    assert RateLimit(1.0).wait(0.0) == 0.0


def test_a_read_keeps_the_source_for_as_long_as_its_bytes_take() -> None:
    """Half of that time later the other half is left to wait, and after it nothing."""
    rate = RateLimit(100.0)
    rate.began(7.0, 400)

    assert [rate.wait(now) for now in (7.0, 9.0, 11.0, 12.0)] == [4.0, 2.0, 0.0, 0.0]


def test_a_rest_gives_no_credit() -> None:
    """After an hour without a read two in a row wait as at the beginning."""
    rate = RateLimit(100.0)
    rate.began(0.0, 400)
    rate.began(3600.0, 400)

    assert rate.wait(3600.0) == 4.0


def test_who_does_not_wait_is_not_forgiven() -> None:
    """A read that began before its time adds to what is left to wait."""
    rate = RateLimit(100.0)
    rate.began(0.0, 400)
    rate.began(1.0, 400)

    assert rate.wait(1.0) == 7.0


@given(st.floats(1.0, 1e9), counts)
def test_no_more_than_the_limit_from_any_read_to_any_later_one(
    limit: float, reads: list[tuple[int, float]]
) -> None:
    """Those who wait as told read at most ``limit`` bytes a second, counted from any read on."""
    rate = RateLimit(limit)
    now, done, begun = 0.0, 0, []
    for count, rest in reads:
        now += rest + rate.wait(now + rest)
        begun.append((now, done))
        rate.began(now, count)
        done += count

    for i, (early, before) in enumerate(begun):
        for late, after in begun[i:]:
            assert after - before <= limit * (late - early) * (1 + 1e-6) + limit * late * 1e-12
