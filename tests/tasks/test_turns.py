"""Turns of the carousel in the ring, on trio's own clock: once round, from the head to the head."""

import random
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from fanoutfs.errors import SourceBrokeError
from fanoutfs.ring import stream
from fanoutfs.units import PAGE
from tests.tasks.rig import BLOCKS, SIZE, background, fails, make_rig, read, read_all, timed, wrong_at_once


@pytest.mark.parametrize("slots", [2, 3, 8, 64])
@pytest.mark.parametrize("piece", [512, 1000, PAGE, 3 * PAGE + 17, 20 * PAGE])
@pytest.mark.parametrize("start", [0, 1, 36, 37])
async def test_a_turn_gives_each_byte_once_from_its_start_round(
    slots: int, piece: int, start: int, autojump_clock: MockClock
) -> None:
    """From the first, an inner and the last, short block on, in odd sizes."""
    rig = make_rig(SIZE, slots)

    async with background(rig.produce):
        got = await read_all(rig.open(start * PAGE), piece)

    assert got == rig.turned(start * PAGE)
    assert sorted(rig.blocks_read) == list(range(BLOCKS))
    assert rig.ring.rules.open_cursors == {}


@pytest.mark.parametrize("slots", [2, 3, 8])
@pytest.mark.parametrize("pieces", [(512, 1000, PAGE), (20 * PAGE, 3 * PAGE + 17, 9 * PAGE)])
async def test_turns_beside_readers(slots: int, pieces: tuple[int, ...], autojump_clock: MockClock) -> None:
    """Turns that begin at any time, beside readers of the image: right, though requests exceed the ring."""
    rig = make_rig(SIZE, slots)
    results = []

    async def turn(delay: float, piece: int) -> None:
        await trio.sleep(delay)
        start = rig.ring.head
        results.append(await read_all(rig.open(start), piece) == rig.turned(start))

    async def in_order(delay: float, piece: int) -> None:
        await trio.sleep(delay)
        results.append(await read_all(rig.open(), piece) == rig.content)

    async with background(rig.produce), trio.open_nursery() as readers:
        for i, piece in enumerate(pieces):
            readers.start_soon(turn, 5.0 * i, piece)
            readers.start_soon(in_order, 7.0 * i, piece)

    assert results == [True] * 6
    assert (rig.ring.rules.open_cursors, rig.ring.waiting()) == ({}, [])


@pytest.mark.parametrize("joined_after", [1, 8, 15])
async def test_turns_cost_what_the_last_one_missed(joined_after: float, autojump_clock: MockClock) -> None:
    """The blocks read when the last turn joins, and one image more; the ring is an eighth of it."""
    rig = make_rig(40 * PAGE, 5)
    read_at_join = []

    async with background(rig.produce), trio.open_nursery() as readers:
        readers.start_soon(read_all, rig.open(0), PAGE)
        await trio.sleep(joined_after)
        for _ in range(3):
            read_at_join.append(len(rig.blocks_read))
            readers.start_soon(read_all, rig.open(rig.ring.head), PAGE)
            await trio.sleep(1.5)

    assert len(rig.blocks_read) <= read_at_join[-1] + 40


async def test_a_read_over_the_images_end_waits_for_both_sides(autojump_clock: MockClock) -> None:
    """Neither the last block nor the first is resident, and the ring has room for a single one."""
    rig = make_rig(SIZE, 3)
    consumer = rig.open(35 * PAGE)
    over = SIZE - 35 * PAGE - 100

    async with background(rig.produce):
        found = bytes(await read(consumer, over, 200))

    assert found == rig.content[-100:] + rig.content[:100]


async def test_many_requests_at_once_on_one_turn(autojump_clock: MockClock) -> None:
    """As read-ahead and threads send them: each gets the bytes at its offset, over the image's end too."""
    rig = make_rig(SIZE, 4, seconds=0.001)
    consumer = rig.open(30 * PAGE)

    async with background(rig.produce):
        wrong = await wrong_at_once(consumer, rig.turned(30 * PAGE), random.Random(3))

    assert wrong == []
    assert (consumer.cursor.requests, rig.ring.waiting()) == ([], [])


@pytest.mark.parametrize(("slots", "blocks"), [(8, 3), (2, 1)])
async def test_read_ahead_over_the_images_end(slots: int, blocks: int, autojump_clock: MockClock) -> None:
    """As the kernel's read-ahead sends them, three at a time: about one pass, with no wait for a detour."""
    rig = make_rig(SIZE, slots, seconds=0.01)
    consumer = rig.open(34 * PAGE)
    piece, got = blocks * PAGE, {}
    limit = trio.CapacityLimiter(3)

    async def one(offset: int) -> None:
        got[offset] = bytes(await read(consumer, offset, piece))
        limit.release_on_behalf_of(offset)

    async with background(rig.produce):
        begun = trio.current_time()
        async with trio.open_nursery() as readers:
            for offset in range(0, SIZE, piece):
                await limit.acquire_on_behalf_of(offset)
                readers.start_soon(one, offset)
        took = trio.current_time() - begun

    assert b"".join(got[offset] for offset in sorted(got)) == rig.turned(34 * PAGE)
    assert took < rig.ring.rules.turn
    assert len(rig.blocks_read) <= BLOCKS + 4


async def test_bad_bytes_are_an_error_where_the_turn_reaches_them(autojump_clock: MockClock) -> None:
    """Bad bytes of block 5, in a turn that begins at block 35, fail the reads of these bytes alone."""
    rig = make_rig(SIZE)
    rig.bad[5] = [(100, 200)]
    consumer = rig.open(35 * PAGE)
    expected = rig.turned(35 * PAGE)
    place = SIZE - 35 * PAGE + 5 * PAGE

    async with background(rig.produce):
        for offset in range(0, place, PAGE):
            size = min(PAGE, place - offset)
            assert bytes(await read(consumer, offset, size)) == expected[offset : offset + size]
        assert bytes(await read(consumer, place, 100)) == expected[place : place + 100]
        for offset, size in ((199, 1), (-10, 120), (100, PAGE)):
            await fails(SourceBrokeError, consumer, place + offset, size)
        await fails(SourceBrokeError, consumer, SIZE // 40, SIZE // 2)
        rest = place + 200
        assert bytes(await read(consumer, rest, SIZE)) == expected[rest:]

    assert (consumer.cursor.requests, rig.ring.waiting()) == ([], [])


@pytest.mark.parametrize("bad", [37, 0])
async def test_bad_bytes_on_one_side_of_the_images_end(bad: int, autojump_clock: MockClock) -> None:
    """A read over the end fails whichever side is bad; a read of the good side alone is right."""
    rig = make_rig(SIZE)
    rig.bad[bad] = [(0, 50)]
    consumer = rig.open(37 * PAGE)
    good, size = (123, 200) if bad == 37 else (0, 123)

    async with background(rig.produce):
        await fails(SourceBrokeError, consumer, 0, 200)
        found = bytes(await read(consumer, good, size))

    assert found == rig.turned(37 * PAGE)[good : good + size]


async def test_jumps_within_a_turn(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapped carousel is read anywhere without delay, and holds no reader, though it began in order."""
    monkeypatch.setattr(stream, "AHEAD", 4 * PAGE)
    monkeypatch.setattr(stream, "BEHIND", 4 * PAGE)
    rig = make_rig(400 * PAGE, 8, seconds=0.001, patience=1000.0)
    consumer, expected = rig.open(300 * PAGE), rig.turned(300 * PAGE)
    chance = random.Random(5)
    slowest = 0.0

    async with background(rig.produce):
        await read(consumer, 0, PAGE)
        for _ in range(50):
            offset = chance.randrange(400 * PAGE - 99)
            found, seconds = await timed(read(consumer, offset, 99))
            assert bytes(found) == expected[offset : offset + 99]
            slowest = max(slowest, seconds)
        _, took = await timed(read_all(rig.open(), PAGE))

    assert slowest < 0.1
    assert took < 1.0


@pytest.mark.parametrize("under_way", [1, 3])
@pytest.mark.parametrize("first", [PAGE, 100])
@pytest.mark.parametrize(("blocks", "slots", "turns"), [(24, 8, 3), (24, 12, 3), (40, 12, 6)])
async def test_turns_all_round_the_circle_do_not_deadlock(
    blocks: int, slots: int, turns: int, first: int, under_way: int, autojump_clock: MockClock
) -> None:
    """Each has another turn in reach behind it: one continues, and all reach their ends without delay.

    Also where each request begins in a resident block and ends in an absent one, and the next request is sent
    before it is answered, as read-ahead does.
    """
    rig = make_rig(blocks * PAGE, slots, patience=1000.0, turn=500.0, seconds=0.001)
    starts = [i * blocks // turns * PAGE for i in range(turns)]
    offsets = [0, *range(first, len(rig.content), PAGE)]
    right = []

    async def turn(start: int) -> None:
        consumer, expected = rig.open(start), rig.turned(start)
        permits = trio.Semaphore(under_way)

        async def one(begin: int, end: int) -> None:
            right.append(bytes(await read(consumer, begin, end - begin)) == expected[begin:end])
            permits.release()

        async with trio.open_nursery() as requests:
            for begin, end in pairwise([*offsets, len(expected)]):
                await permits.acquire()
                requests.start_soon(one, begin, end)
        consumer.close()

    async with background(rig.produce):
        begun = trio.current_time()
        with trio.fail_after(100.0):
            async with trio.open_nursery() as readers:
                for start in starts:
                    readers.start_soon(turn, start)
        took = trio.current_time() - begun

    assert right == [True] * len(starts) * len(offsets)
    assert took < 1.0
