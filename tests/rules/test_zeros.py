"""Zeros, comparisons, adjoining ranges and digests."""

import hashlib
import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.digests.digest import DIGEST_SIZE, digest
from fanoutfs.ranges import Range, joined
from fanoutfs.units import MIB
from fanoutfs.zeros import equal, is_zero, zeros

LENGTHS = [0, 1, 4095, MIB - 1, MIB, MIB + 1, 3 * MIB + 5]


@pytest.mark.parametrize("length", LENGTHS)
def test_zeros_are_recognised(length: int) -> None:
    """Of any length, also in read-only memory."""
    assert is_zero(memoryview(bytearray(length)).toreadonly())


@pytest.mark.parametrize("length", LENGTHS[1:])
@pytest.mark.parametrize("place", ["first", "last", "middle"])
def test_one_bit_is_not_zero(length: int, place: str) -> None:
    """Wherever it is."""
    data = bytearray(length)
    data[{"first": 0, "last": length - 1, "middle": length // 2}[place]] = 1

    assert not is_zero(memoryview(data))


@pytest.mark.parametrize("length", LENGTHS)
def test_zeros_have_the_requested_length(length: int) -> None:
    """In all their pieces together."""
    assert b"".join(zeros(length)) == bytes(length)


@pytest.mark.parametrize("length", LENGTHS[1:])
def test_one_bit_is_a_difference(length: int) -> None:
    """At the first byte, the last, or in between; and the same bytes are equal."""
    mine = mmap.mmap(-1, 4 * MIB)
    theirs = memoryview(bytearray(length)).toreadonly()
    same = equal(mine, 7, theirs)
    differ = []
    for at in (0, length // 2, length - 1):
        mine[7 + at] = 0x80
        differ.append(not equal(mine, 7, theirs))
        mine[7 + at] = 0
    mine[6] = mine[7 + length] = 1

    assert (True, [True] * 3, True) == (same, differ, equal(mine, 7, theirs))


@given(st.sets(st.integers(0, 30)))
def test_adjoining_ranges_are_joined(blocks: set[int]) -> None:
    """The ranges hold exactly these bytes, and none ends where the next begins."""
    ranges: list[Range] = joined((10 * number, 10) for number in sorted(blocks))

    assert {at for offset, length in ranges for at in range(offset, offset + length)} == {
        10 * number + at for number in blocks for at in range(10)
    }
    assert not {offset for offset, _ in ranges} & {sum(each) for each in ranges}


def test_a_digest_is_the_beginning_of_a_sha256() -> None:
    """So other programs can compute it."""
    assert digest(memoryview(b"abc")) == hashlib.sha256(b"abc").digest()[:16]
    assert DIGEST_SIZE == len(digest(memoryview(b"")))
