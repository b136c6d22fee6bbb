"""Checksums of ranges, checked in whatever order the bytes are read."""

import hashlib
import mmap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.source.checked import CELL, CheckedSource, ChecksumError, RangeChecksum
from fanoutfs.source.local import cut
from fanoutfs.units import PAGE
from tests.scratched import Scratched

SIZE = 20 * CELL + 1000
CONTENT = b"".join(b"%015d\n" % number for number in range(SIZE // 16 + 1))[:SIZE]
RANGES = [(0, 3 * CELL), (3 * CELL, 3 * CELL + 100), (4 * CELL + 7, 15 * CELL + 9), (18 * CELL, SIZE)]
MEMORY = memoryview(mmap.mmap(-1, 32 * CELL))


def checked(content: bytes, good: bytes = CONTENT, bad: frozenset[int] = frozenset()) -> CheckedSource:
    """Return a source of this content, with the checksums of the good one."""
    checksums = [
        RangeChecksum(begin, end, "sha256", hashlib.sha256(good[begin:end]).hexdigest())
        for begin, end in RANGES
    ]
    return CheckedSource(Scratched(content, bad), checksums)


def read(source: CheckedSource, begin: int, end: int) -> bytes:
    slots = cut([MEMORY], 0, -(-(end - begin) // PAGE) * PAGE)
    source.read_into(begin, end - begin, slots)
    return bytes(MEMORY[: end - begin])


def read_all(source: CheckedSource, cells: list[int]) -> set[int]:
    """Read cell by cell in this order; return the cells that could not be read."""
    failed = set()
    for cell in cells:
        begin, end = cell * CELL, min((cell + 1) * CELL, SIZE)
        try:
            assert read(source, begin, end) == source.source.content[begin:end]  # type: ignore[attr-defined]
        except ChecksumError:
            failed.add(cell)
    return failed


orders = st.permutations(range(21))


@given(orders)
def test_the_right_bytes_pass_in_any_order(order: list[int]) -> None:
    """Also when all of them are read a second time."""
    source = checked(CONTENT)
    assert read_all(source, order) == set()
    assert read_all(source, order[::-1]) == set()


@given(orders, st.sampled_from(RANGES), st.data())
def test_a_wrong_byte_fails_at_least_one_read_of_its_range(
    order: list[int], wrong: tuple[int, int], data: st.DataObject
) -> None:
    """In any order, for whoever reads all of the range; other ranges are not affected."""
    at = data.draw(st.integers(wrong[0], wrong[1] - 1))
    source = checked(CONTENT[:at] + b"#" + CONTENT[at + 1 :])
    failed = read_all(source, order)

    concerned = set(range(wrong[0] // CELL, -(-wrong[1] // CELL)))
    assert failed
    assert failed <= concerned
    assert read_all(source, order) == concerned


@given(st.lists(st.tuples(st.integers(0, SIZE // PAGE - 1), st.integers(1, 60)), max_size=30))
def test_pieces_of_any_size_pass(pieces: list[tuple[int, int]]) -> None:
    """Reads overlap, and are not of whole cells around a bad place."""
    source = checked(CONTENT)
    for page, count in [*pieces, (0, SIZE)]:
        begin, end = page * PAGE, min((page + count) * PAGE, SIZE)
        assert read(source, begin, end) == CONTENT[begin:end]


def test_bytes_that_change_before_they_are_checked_fail() -> None:
    """What was read ahead is read again to be hashed; it must be what was given out."""
    source = checked(CONTENT)
    read(source, 10 * CELL, 12 * CELL)
    source.source.content = CONTENT.replace(b"45000\n", b"x5000\n")  # type: ignore[attr-defined]
    assert CONTENT[10 * CELL : 12 * CELL].count(b"45000\n")
    with pytest.raises(ChecksumError, match="changed since"):
        read(source, 4 * CELL, 10 * CELL)


def test_bytes_that_change_after_they_were_checked_fail() -> None:
    """A copy that joined in the middle gets the rest of the range later, and it must be the same."""
    good = checked(CONTENT)
    assert read_all(good, list(range(21))) == set()
    good.source.content = CONTENT.replace(b"45000\n", b"x5000\n")  # type: ignore[attr-defined]
    assert read_all(good, [5, 10, 6]) == {10, 6}


def test_a_range_that_can_t_be_read_again_fails() -> None:
    """Nothing is known about bytes that were given out and can't be checked."""
    source = checked(CONTENT)
    read(source, 10 * CELL, 12 * CELL)
    source.source.bad = frozenset([11 * CELL // PAGE])  # type: ignore[attr-defined]
    with pytest.raises(ChecksumError, match="can't be read again"):
        read(source, 4 * CELL, 10 * CELL)


def test_a_bad_page_is_an_error_of_the_source() -> None:
    """The rest of its range is read, and stays unchecked for lack of it."""
    source = checked(CONTENT, bad=frozenset([5 * CELL // PAGE]))
    with pytest.raises(OSError, match="scratched"):
        read(source, 5 * CELL, 6 * CELL)
    assert read_all(source, [4, *range(6, 21)]) == set()


def test_holes_in_ranges_are_read() -> None:
    """Their zeros belong to the checksum."""
    assert checked(CONTENT).data() is None  # type: ignore[func-returns-value]
