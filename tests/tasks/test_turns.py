"""Turns of the carousel in the ring, on trio's own clock: once round, from the head to the head."""

import random
from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from fanoutfs.errors import SourceBrokeError
from fanoutfs.ring import stream
from fanoutfs.units import PAGE
from tests.tasks.rig import Rig, make_rig, read, read_all

SIZE = 37 * PAGE + 123
"""No multiple of a block: the last one is short, and the first follows on its last byte."""


def turned(rig: Rig, start: int) -> bytes:
    return rig.content[start:] + rig.content[:start]


@pytest.mark.parametrize("slots", [2, 3, 8, 64])
@pytest.mark.parametrize("piece", [512, 1000, PAGE, 3 * PAGE + 17, 20 * PAGE])
@pytest.mark.parametrize("start", [0, 1, 36, 37])
async def test_a_turn_gives_each_byte_once_from_its_start_round(
    slots: int, piece: int, start: int, autojump_clock: MockClock
) -> None:
    """From the first, an inner and the last, short block on, in sizes that fit nothing."""
    rig = make_rig(SIZE, slots)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        got = await read_all(rig.open(start * PAGE), piece)
        nursery.cancel_scope.cancel()

    assert got == turned(rig, start * PAGE)
    assert sorted(rig.blocks_read) == list(range(38))
    assert rig.ring.rules.open_cursors == {}


@pytest.mark.parametrize("slots", [2, 3, 8])
@pytest.mark.parametrize("pieces", [(512, 1000, PAGE), (20 * PAGE, 3 * PAGE + 17, 9 * PAGE)])
async def test_turns_and_readers_in_order_at_once(
    slots: int, pieces: tuple[int, ...], autojump_clock: MockClock
) -> None:
    """Turns joined at any time, beside readers of the image: all right, though requests exceed the ring."""
    rig = make_rig(SIZE, slots)
    results = []

    async def turn(delay: float, piece: int) -> None:
        await trio.sleep(delay)
        start = rig.ring.head
        results.append(await read_all(rig.open(start), piece) == turned(rig, start))

    async def in_order(delay: float, piece: int) -> None:
        await trio.sleep(delay)
        results.append(await read_all(rig.open(), piece) == rig.content)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        async with trio.open_nursery() as readers:
            for i, piece in enumerate(pieces):
                readers.start_soon(turn, 5.0 * i, piece)
                readers.start_soon(in_order, 7.0 * i, piece)
        nursery.cancel_scope.cancel()

    assert results == [True] * 6
    assert (rig.ring.rules.open_cursors, rig.ring.waiting()) == ({}, [])


@pytest.mark.parametrize("joined_after", [1, 8, 15])
async def test_turns_that_join_a_pass_cost_what_the_last_missed(
    joined_after: float, autojump_clock: MockClock
) -> None:
    """What had been read when the last one joined, and one image more; the ring is an eighth of it."""
    rig = make_rig(40 * PAGE, 5)
    read_at_join = []

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        async with trio.open_nursery() as readers:
            readers.start_soon(read_all, rig.open(0), PAGE)
            await trio.sleep(joined_after)
            for _ in range(3):
                read_at_join.append(len(rig.blocks_read))
                readers.start_soon(read_all, rig.open(rig.ring.head), PAGE)
                await trio.sleep(1.5)
        nursery.cancel_scope.cancel()

    assert len(rig.blocks_read) <= read_at_join[-1] + 40


async def test_a_read_over_the_images_end_waits_for_what_lies_on_both_sides(
    autojump_clock: MockClock,
) -> None:
    """Neither the last block nor the first is resident, and the ring has room for one more only."""
    rig = make_rig(SIZE, 3)
    consumer = rig.open(35 * PAGE)
    over = (38 - 35) * PAGE - (38 * PAGE - SIZE) - 100

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        found = bytes(await read(consumer, over, 200))
        nursery.cancel_scope.cancel()

    assert found == rig.content[-100:] + rig.content[:100]


async def test_many_requests_at_once_on_one_turn(autojump_clock: MockClock) -> None:
    """Read-ahead and threads: each gets the bytes of its own place, those over the image's end too."""
    rig = make_rig(SIZE, 4, seconds=0.001)
    consumer = rig.open(30 * PAGE)
    expected, chance = turned(rig, 30 * PAGE), random.Random(3)
    wrong = []

    async def one(offset: int, size: int) -> None:
        found = bytes(await read(consumer, offset, size))
        if found != expected[offset : offset + size]:
            wrong.append((offset, size))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        for _ in range(30):
            async with trio.open_nursery() as readers:
                for _ in range(8):
                    readers.start_soon(one, chance.randrange(SIZE + 9), chance.randrange(9 * PAGE))
        nursery.cancel_scope.cancel()

    assert wrong == []
    assert (consumer.cursor.requests, rig.ring.waiting()) == ([], [])


@pytest.mark.parametrize(("slots", "blocks"), [(8, 3), (2, 1)])
async def test_requests_sent_ahead_over_the_images_end(
    slots: int, blocks: int, autojump_clock: MockClock
) -> None:
    """As the kernel's read-ahead sends them, three at a time: about one pass, and no wait for a detour."""
    rig = make_rig(SIZE, slots, seconds=0.01)
    consumer = rig.open(34 * PAGE)
    piece, got = blocks * PAGE, {}
    limit = trio.CapacityLimiter(3)

    async def one(offset: int) -> None:
        got[offset] = bytes(await read(consumer, offset, piece))
        limit.release_on_behalf_of(offset)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        begun = trio.current_time()
        async with trio.open_nursery() as readers:
            for offset in range(0, SIZE, piece):
                await limit.acquire_on_behalf_of(offset)
                readers.start_soon(one, offset)
        took = trio.current_time() - begun
        nursery.cancel_scope.cancel()

    assert b"".join(got[offset] for offset in sorted(got)) == turned(rig, 34 * PAGE)
    assert took < rig.ring.rules.turn
    assert len(rig.blocks_read) <= 38 + 4


async def test_a_bad_place_is_where_it_comes_in_the_turn(autojump_clock: MockClock) -> None:
    """Bad bytes of block 5 are an error where a turn from block 35 on comes to them, and there alone."""
    rig = make_rig(SIZE)
    rig.bad[5] = [(100, 200)]
    consumer = rig.open(35 * PAGE)
    expected = turned(rig, 35 * PAGE)
    place = SIZE - 35 * PAGE + 5 * PAGE

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        for offset in range(0, place, PAGE):
            size = min(PAGE, place - offset)
            assert bytes(await read(consumer, offset, size)) == expected[offset : offset + size]
        assert bytes(await read(consumer, place, 100)) == expected[place : place + 100]
        for offset, size in (
            (place + 199, 1),
            (place - 10, 120),
            (place + 100, PAGE),
            (SIZE // 40, SIZE // 2),
        ):
            with pytest.raises(SourceBrokeError):
                await read(consumer, offset, size)
        rest = place + 200
        assert bytes(await read(consumer, rest, SIZE)) == expected[rest:]
        nursery.cancel_scope.cancel()

    assert (consumer.cursor.requests, rig.ring.waiting()) == ([], [])


@pytest.mark.parametrize("bad", [37, 0])
async def test_a_bad_place_on_one_side_of_the_images_end(bad: int, autojump_clock: MockClock) -> None:
    """A read over the end fails whichever side is bad; one of the good side alone is right."""
    rig = make_rig(SIZE)
    rig.bad[bad] = [(0, 50)]
    consumer = rig.open(37 * PAGE)
    good, size = (123, 200) if bad == 37 else (0, 123)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        with pytest.raises(SourceBrokeError):
            await read(consumer, 0, 200)
        found = bytes(await read(consumer, good, size))
        nursery.cancel_scope.cancel()

    assert found == turned(rig, 37 * PAGE)[good : good + size]


async def test_jumps_within_a_turn(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mapped carousel is read anywhere, at once each time, and holds nobody, though it began in order."""
    monkeypatch.setattr(stream, "AHEAD", 4 * PAGE)
    monkeypatch.setattr(stream, "BEHIND", 4 * PAGE)
    rig = make_rig(400 * PAGE, 8, seconds=0.001, patience=1000.0)
    consumer, expected = rig.open(300 * PAGE), turned(rig, 300 * PAGE)
    chance = random.Random(5)
    slowest = 0.0

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        await read(consumer, 0, PAGE)
        for _ in range(50):
            offset = chance.randrange(400 * PAGE - 99)
            begun = trio.current_time()
            assert bytes(await read(consumer, offset, 99)) == expected[offset : offset + 99]
            slowest = max(slowest, trio.current_time() - begun)
        begun = trio.current_time()
        await read_all(rig.open(), PAGE)
        took = trio.current_time() - begun
        nursery.cancel_scope.cancel()

    assert slowest < 0.1
    assert took < 1.0


async def test_a_turn_that_was_never_read_holds_nobody(autojump_clock: MockClock) -> None:
    """Not even for its patience; when it reads after all, its turn is where it was."""
    rig = make_rig(seconds=0.001, patience=1000.0)
    silent = rig.open(7 * PAGE)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        begun = trio.current_time()
        await read_all(rig.open(), PAGE)
        took = trio.current_time() - begun
        got = await read_all(silent, PAGE)
        nursery.cancel_scope.cancel()

    assert took < 1.0
    assert got == turned(rig, 7 * PAGE)


async def test_a_stopped_turn_holds_those_behind_its_end_for_its_patience(autojump_clock: MockClock) -> None:
    """It needs what lies over the image's end, too: a reader there waits for it, and no longer than that."""
    rig = make_rig(slots=8, patience=10.0, seconds=0.001)
    stopped = rig.open(37 * PAGE)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        await read(stopped, 0, PAGE)
        begun = trio.current_time()
        got = await read_all(rig.open(), PAGE)
        took = trio.current_time() - begun
        rest = [bytes(await read(stopped, i * PAGE, PAGE)) for i in range(1, 40)]
        nursery.cancel_scope.cancel()

    assert got == rig.content
    assert 10.0 <= took <= 11.0
    assert b"".join(rest) == turned(rig, 37 * PAGE)[PAGE:]


@pytest.mark.parametrize("under_way", [1, 3])
@pytest.mark.parametrize("first", [PAGE, 100])
@pytest.mark.parametrize(("blocks", "slots", "turns"), [(24, 8, 3), (24, 12, 3), (40, 12, 6)])
async def test_turns_all_round_the_circle_wait_for_nobody_for_ever(
    blocks: int, slots: int, turns: int, first: int, under_way: int, autojump_clock: MockClock
) -> None:
    """Each has another one behind it within the ring: one goes on, and all get to their ends at once.

    Also where each request begins in a block that is there and ends in one that is waited for, and the next
    request is sent before it is answered, as read-ahead does.
    """
    rig = make_rig(blocks * PAGE, slots, patience=1000.0, turn=500.0, seconds=0.001)
    starts = [i * blocks // turns * PAGE for i in range(turns)]
    offsets = [0, *range(first, len(rig.content), PAGE)]
    right = []

    async def turn(start: int) -> None:
        consumer, expected = rig.open(start), turned(rig, start)
        permits = trio.Semaphore(under_way)

        async def one(begin: int, end: int) -> None:
            right.append(bytes(await read(consumer, begin, end - begin)) == expected[begin:end])
            permits.release()

        async with trio.open_nursery() as requests:
            for begin, end in pairwise([*offsets, len(expected)]):
                await permits.acquire()
                requests.start_soon(one, begin, end)
        consumer.close()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        begun = trio.current_time()
        with trio.fail_after(100.0):
            async with trio.open_nursery() as readers:
                for start in starts:
                    readers.start_soon(turn, start)
        took = trio.current_time() - begun
        nursery.cancel_scope.cancel()

    assert right == [True] * len(starts) * len(offsets)
    assert took < 1.0
