"""How much is written in one call, with invented times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.copying.write_size import LONGEST, LONGEST_WRITE, WriteSize, longest_write
from fanoutfs.settings import LARGEST_BLOCK
from fanoutfs.units import MIB, PAGE


def written(size: WriteSize, rate: float, calls: int) -> list[float]:
    """Return the seconds of some writes at ``rate`` bytes per second."""
    seconds = []
    for _ in range(calls):
        seconds.append(size.blocks * size.block / rate)
        size.record(size.blocks, seconds[-1])
    return seconds


def test_the_size_begins_with_a_block_and_doubles() -> None:
    """On a fast disk it reaches its maximum after three writes, and stays there."""
    size = WriteSize(MIB)
    counts = []
    for _ in range(6):
        counts.append(size.blocks)
        size.record(size.blocks, 0.001)

    assert [1, 2, 4, 8, 8, 8] == counts


def test_a_disk_that_stalls_gets_less() -> None:
    """As much as would have taken half a second, and at least a block."""
    size = WriteSize(MIB)
    written(size, 1e9, 10)
    size.record(8, 2.0)
    first = size.blocks
    size.record(2, 60.0)

    assert (2, 1) == (first, size.blocks)


def test_a_short_write_proves_nothing() -> None:
    """The ring had fewer blocks than the size: that it was quick is no reason for a larger size."""
    size = WriteSize(MIB)
    written(size, 1e9, 3)
    size.record(1, 0.001)

    assert 8 == size.blocks


@pytest.mark.parametrize("block", [PAGE, MIB, LONGEST_WRITE, LARGEST_BLOCK])
def test_the_maximum_is_at_least_a_block(block: int) -> None:
    """For any block size."""
    size = WriteSize(block)
    written(size, 1e12, 30)

    assert max(1, LONGEST_WRITE // block) == size.blocks


@given(st.floats(1e3, 1e11), st.sampled_from([PAGE, 64 * 1024, MIB, LARGEST_BLOCK]))
def test_no_write_lasts_longer_than_the_limit(rate: float, block: int) -> None:
    """At a steady rate, unless a single block takes longer."""
    for seconds in written(WriteSize(block), rate, 30):
        assert seconds <= max(LONGEST, block / rate) * 1.000001


@given(st.floats(1e6, 1e11))
def test_writes_are_as_long_as_they_may_be(rate: float) -> None:
    """At a steady rate they get to a quarter of a second at least, unless they are at the maximum."""
    size = WriteSize(PAGE)
    last = written(size, rate, 30)[-1]

    assert size.blocks == LONGEST_WRITE // PAGE or last > LONGEST / 2 * 0.999


@pytest.mark.parametrize(
    ("room", "targets", "longest"),
    [
        (1024 * MIB, 1, LONGEST_WRITE),
        (1024 * MIB, 16, LONGEST_WRITE),
        (96 * MIB, 1, LONGEST_WRITE),
        (96 * MIB, 3, 4 * MIB),
        (96 * MIB, 100, MIB),
        (0, 1, MIB),
    ],
)
def test_many_targets_share_little_memory(room: int, targets: int, longest: int) -> None:
    """Their buffers take a quarter of it, as long as each has a MiB."""
    size = WriteSize(MIB, longest_write(room, targets))
    written(size, 1e9, 5)

    assert longest == size.blocks * MIB
