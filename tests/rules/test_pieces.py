"""How many bytes are requested from a source at a time."""

import pytest

from fanoutfs.source.pieces import LEAST, MOST, Pieces
from fanoutfs.units import KIB, MIB


@pytest.mark.parametrize(
    ("rate", "delay", "limit", "settled"),
    [
        (8 * KIB, 0.0, 60.0, LEAST),
        (100 * KIB, 0.0, 60.0, 256 * KIB),
        (100 * KIB, 0.0, 4.0, 64 * KIB),
        (1 * MIB, 0.0, 60.0, 2 * MIB),
        (100 * MIB, 0.0, 60.0, MOST),
        (10 * MIB, 1.0, 60.0, 16 * MIB),
    ],
)
def test_requests_take_some_seconds_at_most(rate: int, delay: float, limit: float, settled: int) -> None:
    """At a steady rate their size settles; a source that needs a second for each gets large ones, too."""
    pieces = Pieces.within(limit)
    for _ in range(20):
        pieces.answered(pieces.size, delay + pieces.size / rate)
    assert pieces.size == settled
    assert delay + settled / rate < max(limit / 3, LEAST / rate + 1)


def test_a_link_that_becomes_slower() -> None:
    """Requests become smaller at once if one was not answered, else by half."""
    pieces = Pieces(8 * MIB)
    pieces.answered(8 * MIB, 6.0)
    assert pieces.size == 4 * MIB
    pieces.unanswered()
    assert pieces.size == LEAST


def test_the_end_of_a_run_shows_no_rate() -> None:
    """A request smaller than allowed proves nothing of larger ones."""
    pieces = Pieces(MIB)
    pieces.answered(4 * KIB, 0.0)
    assert pieces.size == MIB
