"""What of a disk is used, from its table of partitions and what file systems leave free."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.only.partition_table import Partition, parse
from fanoutfs.only.reading import GAP, SPARE, fitting_block, read_through, rounded
from fanoutfs.only.used_ranges import END, LARGE, overlapping, unpartitioned, unused, used
from fanoutfs.ranges import Range
from fanoutfs.units import KIB, MIB

DISK = 1000 * MIB


def table(*partitions: dict[str, object], label: str = "gpt", **more: object) -> bytes:
    return json.dumps({"partitiontable": {"label": label, "partitions": partitions, **more}}).encode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (table(), ()),
        (
            table({"node": "a2", "start": 8, "size": 4, "type": "x"}, {"node": "a1", "start": 2, "size": 2}),
            (Partition("a1", 1024, 2048), Partition("a2", 4096, 6144)),
        ),
        (table({"node": "a1", "start": 2, "size": 1}, sectorsize=4096), (Partition("a1", 8192, 12288),)),
        (
            table({"node": "a1", "start": 2, "size": 9, "type": "f"}, label="dos"),
            (Partition("a1", 1024, 5632, is_container=True),),
        ),
        # Behind the end of the disk.
        (table({"node": "a1", "start": 2, "size": 2**40}), (Partition("a1", 1024, DISK),)),
        (table({"node": "a1", "start": 2**40, "size": 1}), ()),
    ],
)
def test_partitions_are_bytes(text: bytes, expected: tuple[Partition, ...]) -> None:
    """What sfdisk prints is in sectors, of a size that it names."""
    assert parse(text, DISK) == expected


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", table({"node": "a1", "start": "x", "size": 1})])
def test_other_texts_are_no_table(text: bytes) -> None:
    """Then the disk is taken for one without partitions."""
    with pytest.raises(ValueError, match=r"sfdisk|Expecting|invalid literal"):
        parse(text, DISK)


def test_a_large_space_without_partition_is_left_out_but_for_its_ends() -> None:
    """Boot loaders, and the second table, are at its ends; space within an extended partition is copied."""
    partitions = [
        Partition("1", 64 * MIB, 100 * MIB),
        Partition("2", 200 * MIB, 500 * MIB, is_container=True),
        Partition("5", 400 * MIB, 410 * MIB),
    ]

    assert LARGE == 64 * MIB
    assert unpartitioned(partitions, DISK) == [
        (100 * MIB + END, 100 * MIB - 2 * END),
        (500 * MIB + END, 500 * MIB - 2 * END),
    ]


def test_what_lies_behind_a_file_system_is_used() -> None:
    """Only what a file system says is free is not, and only within its partition."""
    one, two = Partition("1", MIB, 10 * MIB), Partition("2", 10 * MIB, 20 * MIB)
    free = {one: [(2 * MIB, MIB), (8 * MIB, 6 * MIB)]}

    assert used(20 * MIB, unused([one, two], free, 20 * MIB)) == [
        (0, 2 * MIB),
        (3 * MIB, 5 * MIB),
        (10 * MIB, 10 * MIB),
    ]


def test_partitions_that_overlap_are_used_whole() -> None:
    """What is free in one may be used in the other; an extended partition overlaps with those in it."""
    around, first = Partition("4", 0, 90, is_container=True), Partition("5", 10, 40)
    inside, apart = Partition("6", 20, 30), Partition("7", 40, 50)

    assert overlapping([around, first, inside, apart]) == {first, inside}
    assert unused([around, first, inside, apart], {first: [(10, 5)], apart: [(41, 2)]}, 90) == [(41, 2)]


ranges = st.lists(st.tuples(st.integers(0, 90), st.integers(1, 20)), max_size=8)


@given(ranges)
def test_a_byte_is_used_or_in_a_range_that_is_not(found: list[Range]) -> None:
    """Ranges may overlap, have any order, and end behind the disk."""
    free = {byte for begin, length in found for byte in range(begin, begin + length)}
    taken = [byte for begin, length in used(100, found) for byte in range(begin, begin + length)]

    assert taken == [byte for byte in range(100) if byte not in free]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(0, 100 * MIB)], MIB),
        ([(0, 100 * MIB), (200 * MIB, 4 * KIB)], 256 * KIB),
        ([(n * MIB, 4 * KIB) for n in range(100)], 64 * KIB),
    ],
)
def test_blocks_are_as_small_as_the_ranges_need(found: list[Range], expected: int) -> None:
    """Large where little is read in vain all the same."""
    assert fitting_block(found, MIB) == expected


@given(st.sets(st.integers(0, 4000), min_size=2))
def test_small_gaps_are_read_through_and_little_is_read_in_vain(edges: set[int]) -> None:
    """What was in the ranges still is; no large gap is closed; all in all SPARE is kept to."""
    places = sorted(64 * KIB * edge for edge in edges)
    found = [(begin, end - begin) for begin, end in zip(places[::2], places[1::2], strict=False)]
    closed = read_through(found, 64 * KIB)
    gaps = [begin - sum(before) for before, (begin, _) in pairwise(closed)]
    before = [begin - sum(before) for before, (begin, _) in pairwise(found)]

    assert set(gaps) >= {gap for gap in before if gap > GAP}
    needed = sum(length for _, length in found)
    assert needed <= rounded(closed, 64 * KIB) <= needed * (1 + SPARE)
    assert [one for one in found if not any(a <= one[0] and sum(one) <= a + b for a, b in closed)] == []
