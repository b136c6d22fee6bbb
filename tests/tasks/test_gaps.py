"""Readers of an image with holes, on trio's own clock: they get zeros there, without the ring."""

import random

import pytest
import trio
from trio.testing import MockClock

from fanoutfs.fuse.gapped_reader import AnyReader
from fanoutfs.units import MIB, PAGE
from tests.tasks.rig import BLOCKS, SIZE, Rig, background, make_rig, read, read_all, timed, wrong_at_once

GAPS = {
    "in the middle": [range(3), range(9, 10), range(20, BLOCKS)],
    "at both ends": [range(2, 5), range(6, 30)],
    "nothing but the last block": [range(BLOCKS - 1, BLOCKS)],
    "every second block": [range(i, i + 1) for i in range(0, BLOCKS, 2)],
    "no data": [],
}

PIECES = [1000, 3 * PAGE + 17, 60 * PAGE]


def sparse(gaps: str, seconds: float = 1.0) -> Rig:
    return make_rig(SIZE, 4, data=GAPS[gaps], seconds=seconds)


@pytest.mark.parametrize("gaps", GAPS)
@pytest.mark.parametrize("piece", PIECES)
async def test_readers_and_turns_get_the_image_with_its_holes(
    gaps: str, piece: int, autojump_clock: MockClock
) -> None:
    """At any time, from any data on; what is no hole is read once by readers that are together."""
    rig = sparse(gaps)
    starts = [rig.ring.layout.image_block(block) * PAGE for block in range(rig.ring.rules.blocks)]
    results = []

    async def reads(delay: float, start: int | None) -> None:
        await trio.sleep(delay)
        found = await read_all(rig.open(start), piece)
        results.append(found == rig.turned(start or 0))

    async with background(rig.produce):
        async with trio.open_nursery() as readers:
            readers.start_soon(reads, 0, None)
            readers.start_soon(reads, 0, None)
        once = sorted(rig.blocks_read)
        async with trio.open_nursery() as readers:
            for number, start in enumerate(starts[:: max(1, len(starts) // 5)]):
                readers.start_soon(reads, 1.7 * number, start)
                readers.start_soon(reads, 2.3 * number, None)

    assert all(results)
    assert once == list(range(rig.ring.rules.blocks))
    assert (rig.ring.rules.open_cursors, rig.ring.waiting()) == ({}, [])


@pytest.mark.parametrize("gaps", GAPS)
async def test_reads_anywhere_in_an_image_with_holes(gaps: str, autojump_clock: MockClock) -> None:
    """Of any size, many at once on one handle: each gets the bytes at its offset."""
    rig = sparse(gaps, seconds=0.001)
    consumer = rig.open()

    async with background(rig.produce):
        wrong = await wrong_at_once(consumer, rig.content, random.Random(1))

    assert wrong == []
    assert consumer.cursor.requests == []


async def shown(consumer: AnyReader, *places: tuple[int, int]) -> list[tuple[int, int]]:
    """Read pieces (first block, blocks); return the position and what is left after each, in blocks."""
    found = []
    for first, count in places:
        await read(consumer, first * PAGE, count * PAGE)
        found.append((consumer.position // PAGE, consumer.left // PAGE))
    return found


async def test_the_position_of_a_reader_goes_through_a_hole(autojump_clock: MockClock) -> None:
    """It moves with the reader, though nothing comes from the ring; a turn's goes round."""
    rig = make_rig(20 * PAGE, 8, data=[range(2), range(10, 14)])

    async with background(rig.produce):
        in_order = await shown(rig.open(), (0, 2), (2, 3), (5, 5), (10, 4), (14, 6))
        turn = await shown(rig.open(12 * PAGE), (0, 2), (2, 3), (5, 4), (9, 1), (10, 10))

    assert in_order == [(2, 18), (5, 15), (10, 10), (14, 6), (20, 0)]
    assert turn == [(14, 18), (17, 15), (1, 11), (2, 10), (12, 0)]


async def test_a_reader_that_skips_a_hole_has_not_jumped(autojump_clock: MockClock) -> None:
    """As nbdcopy does, which knows the holes of an export: it stays sequential, with its look-ahead."""
    rig = make_rig(32 * MIB, 8, data=[range(2), range(7000, 7004)])
    consumer = rig.open()

    async with background(rig.produce):
        for block in (0, 1, 7000, 7001):
            await read(consumer, block * PAGE, PAGE)
            assert consumer.sequential


@pytest.mark.parametrize("places", [(5000, 300, 7900, 10), (300, 5000, 20, 7000)])
async def test_reads_here_and_there_in_a_hole_are_not_sequential(
    places: tuple[int, ...], autojump_clock: MockClock
) -> None:
    """A mounted file system in a sparse image must not hold others at the next data."""
    rig = make_rig(32 * MIB, 8, data=[range(2), range(8000, 8004)])
    consumer = rig.open()

    for block in places:
        await read(consumer, block * PAGE, PAGE)
        assert not consumer.sequential


async def test_a_reader_within_a_hole_is_live(autojump_clock: MockClock) -> None:
    """R5: it makes progress, so that those in front wait for it at the data behind the hole."""
    rig = make_rig(100 * PAGE, 4, data=[range(2), range(60, 100)], seconds=0.001, patience=5.0)
    slow, fast = rig.open(), rig.open()

    async def reads_slowly() -> None:
        for block in range(100):
            await read(slow, block * PAGE, PAGE)
            await trio.sleep(1.0 if block < 60 else 0.0)
        slow.close()

    async with background(rig.produce), trio.open_nursery() as readers:
        readers.start_soon(reads_slowly)
        await trio.sleep(0.5)
        _, took = await timed(read_all(fast, PAGE))

    assert 55.0 < took < 60.0
    assert sorted(rig.blocks_read) == list(range(42))


async def test_what_another_reader_put_into_the_page_cache_counts(autojump_clock: MockClock) -> None:
    """Data, holes and both: the reader will not request them, and its position moves on."""
    rig = make_rig(20 * PAGE, 8, data=[range(2), range(10, 14)])
    one, other = rig.open(), rig.open()
    found = []

    async with background(rig.produce):
        await read(one, 0, PAGE)
        await read(other, 0, 12 * PAGE)
        for first, count in ((1, 1), (2, 3), (5, 5), (10, 2)):
            one.found_in_cache(first * PAGE, count * PAGE)
            found.append((one.position // PAGE, one.cursor.block))
        third = rig.open()
        await read(third, 0, PAGE)
        third.joins(other.stream)

    assert found == [(2, 2), (5, 2), (10, 2), (12, 4)]
    assert third.cursor.block == other.cursor.block == 4
