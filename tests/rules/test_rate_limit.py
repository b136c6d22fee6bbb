"""The limit of the rate at which the source is read, at invented times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.source.rate_limit import RateLimit

counts = st.lists(st.tuples(st.integers(1, 1 << 30), st.floats(0.0, 100.0)), min_size=1, max_size=50)


@pytest.mark.parametrize(
    ("limit", "reads", "waits"),
    [
        ((), [(5.0, 1 << 60)], {5.0: 0.0}),
        ((1.0,), [], {0.0: 0.0}),
        ((100.0,), [(7.0, 400)], {7.0: 4.0, 9.0: 2.0, 11.0: 0.0, 12.0: 0.0}),
        ((100.0,), [(0.0, 400), (3600.0, 400)], {3600.0: 4.0}),
        ((100.0,), [(0.0, 400), (1.0, 400)], {1.0: 7.0}),
    ],
    ids=["no limit", "the first read", "a read", "after an idle hour", "a read that did not wait"],
)
def test_a_read_takes_as_long_as_its_bytes(
    limit: tuple[float, ...], reads: list[tuple[float, int]], waits: dict[float, float]
) -> None:
    """The next read waits for the rest of that time. Idle time gives no credit; not waiting adds to it."""
    rate = RateLimit(*limit)
    for now, count in reads:
        rate.began(now, count)

    assert waits == {now: rate.wait(now) for now in waits}


@given(st.floats(1.0, 1e9), counts)
def test_the_limit_holds_from_any_read_to_any_later_one(limit: float, reads: list[tuple[int, float]]) -> None:
    """Reads that wait as told read at most ``limit`` bytes a second, counted from any read on."""
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
