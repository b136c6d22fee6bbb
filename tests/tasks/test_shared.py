"""Waiting in the ring, on trio's own clock, which takes no real time."""

import itertools
import random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fanoutfs.errors import ClosingError, ReaderGoneError, SourceBrokeError, SourceHungError
from fanoutfs.units import PAGE
from tests.tasks.rig import SIZE, background, fails, make_rig, read, read_all, timed


@pytest.mark.parametrize("slots", [2, 3, 8, 64])
@pytest.mark.parametrize("piece", [512, 1000, PAGE, 3 * PAGE + 17, 20 * PAGE])
async def test_every_reader_gets_the_sources_bytes(slots: int, piece: int, autojump_clock: MockClock) -> None:
    """Five readers, one late, odd sizes: the bytes are right, also if a request exceeds the ring."""
    rig = make_rig(SIZE, slots)
    results: list[bytes] = []

    async def reader(delay: float) -> None:
        await trio.sleep(delay)
        results.append(await read_all(rig.open(), piece))

    async with background(rig.produce), trio.open_nursery() as readers:
        for delay in (0, 0, 0, 1, 9):
            readers.start_soon(reader, delay)

    assert results == [rig.content] * 5
    assert rig.ring.rules.open_cursors == {}
    assert rig.ring.waiting() == []


@pytest.mark.parametrize("begins_at_0", [False, True])
async def test_jumping_readers_get_the_sources_bytes(*, begins_at_0: bool, autojump_clock: MockClock) -> None:
    """Reads anywhere, of any size, many at once on one handle: each gets the bytes at its offset.

    The source is read for the blocks that they touch, at most twice for each.
    """
    rig = make_rig(40 * PAGE + 1, 4, seconds=0.001)
    chance = random.Random(1)
    consumer = rig.open()
    wrong = []
    touched = 0

    async def one(offset: int, size: int) -> None:
        found = bytes(await read(consumer, offset, size))
        if found != rig.content[offset : offset + size]:
            wrong.append((offset, size))

    async with background(rig.produce):
        if begins_at_0:
            await read(consumer, 0, PAGE)
        for _ in range(30):
            async with trio.open_nursery() as readers:
                for _ in range(8):
                    offset, size = chance.randrange(len(rig.content) + 9), chance.randrange(9 * PAGE)
                    touched += (offset + size) // PAGE - offset // PAGE + 1
                    readers.start_soon(one, offset, size)

    assert wrong == []
    assert consumer.cursor.requests == []
    assert len(rig.blocks_read) <= 2 * touched


async def test_readers_that_start_together_are_served_by_one_pass(autojump_clock: MockClock) -> None:
    """The source is read once for all of them, whatever the sizes of their requests."""
    rig = make_rig(slots=8)

    async with background(rig.produce), trio.open_nursery() as readers:
        for piece in (512, PAGE, 2 * PAGE, 1000):
            readers.start_soon(read_all, rig.open(), piece)

    assert sorted(rig.blocks_read) == list(range(40))


@pytest.mark.parametrize("start", [None, 37 * PAGE], ids=["reader", "turn"])
async def test_a_stopped_reader_holds_the_others(start: int | None, autojump_clock: MockClock) -> None:
    """R5 on the clock: the front waits until the patience is over, then continues to the end.

    A turn that begins at block 37 needs the blocks beyond the image's end, too.
    """
    rig = make_rig(slots=8, patience=10.0, seconds=0.001)
    stopped, goes = rig.open(start), rig.open()

    async with background(rig.produce):
        await read(stopped, 0, PAGE)
        got, took = await timed(read_all(goes, PAGE))
        rest = [bytes(await read(stopped, i * PAGE, PAGE)) for i in range(1, 40)]

    assert got == rig.content
    assert 10.0 <= took <= 11.0
    assert b"".join(rest) == rig.turned(start or 0)[PAGE:]


@pytest.mark.parametrize("start", [None, 7 * PAGE], ids=["reader", "turn"])
async def test_an_unread_file_holds_no_reader(start: int | None, autojump_clock: MockClock) -> None:
    """Not even for the patience; when it is read after all, it begins where it was opened."""
    rig = make_rig(slots=8, seconds=0.001, patience=1000.0)
    silent = rig.open(start)

    async with background(rig.produce):
        _, took = await timed(read_all(rig.open(), PAGE))
        got = await read_all(silent, PAGE)

    assert took < 1.0
    assert got == rig.turned(start or 0)


async def test_without_requests_the_source_is_left_alone(autojump_clock: MockClock) -> None:
    """The producer parks until a reader requests a block."""
    rig = make_rig()
    rig.open()

    async with background(rig.produce):
        await trio.sleep(1000)

    assert rig.blocks_read == []


async def test_a_cancelled_read_leaves_nothing(autojump_clock: MockClock) -> None:
    """Its request is removed; the next read of the same bytes is served."""
    rig = make_rig()
    consumer = rig.open()
    with trio.move_on_after(5):
        await read(consumer, 0, PAGE)

    assert (consumer.cursor.requests, rig.ring.waiting()) == ([], [])

    async with background(rig.produce):
        assert bytes(await read(consumer, 0, PAGE)) == rig.content[:PAGE]


async def test_only_a_read_of_bad_bytes_fails(autojump_clock: MockClock) -> None:
    """A read of the bytes before or after them, in the same block, is right."""
    rig = make_rig()
    rig.bad[5] = [(100, 200)]
    place = 5 * PAGE
    consumer = rig.open()

    async with background(rig.produce):
        assert bytes(await read(consumer, place, 100)) == rig.content[place : place + 100]
        assert bytes(await read(consumer, place + 200, 9)) == rig.content[place + 200 : place + 209]
        for offset, size in ((place + 199, 1), (place - 10, 120), (place + 100, PAGE), (0, 20 * PAGE)):
            await fails(SourceBrokeError, consumer, offset, size)

    assert (consumer.cursor.requests, rig.ring.waiting()) == ([], [])


async def test_a_bad_block_is_read_again_for_the_next_request(autojump_clock: MockClock) -> None:
    """An error is not kept: when the source has recovered, the next reader gets its bytes."""
    rig = make_rig()
    rig.bad[5] = [(0, PAGE)]
    consumer = rig.open()

    async with background(rig.produce):
        for _ in range(2):
            await fails(SourceBrokeError, consumer, 5 * PAGE, 100)
        tried = rig.blocks_read.count(5)
        rig.bad.clear()
        found = bytes(await read(consumer, 5 * PAGE, 100))

    assert tried == 2
    assert found == rig.content[5 * PAGE : 5 * PAGE + 100]


async def test_a_hanging_source_fails_the_reads_that_wait_too_long(autojump_clock: MockClock) -> None:
    """They fail within the limit; once the source answers, reads are served again."""
    rig = make_rig(seconds=100.0)
    consumer = rig.open()

    async def watch() -> None:
        while True:
            await trio.sleep(1)
            rig.ring.source_hangs(30.0, 0)

    async with background(rig.produce, watch):
        _, took = await timed(fails(SourceHungError, consumer, 0))
        await trio.sleep(100)
        rig.seconds = 0.1
        assert bytes(await read(consumer, 0, PAGE)) == rig.content[:PAGE]

    assert 30.0 <= took <= 31.0


async def test_a_source_from_which_bytes_come_does_not_hang(autojump_clock: MockClock) -> None:
    """However long a read takes: the limit is for a source that gives nothing."""
    rig = make_rig(seconds=100.0)

    async def watch() -> None:
        for second in itertools.count():
            await trio.sleep(1)
            rig.ring.source_hangs(30.0, PAGE * (second // 29))

    async with background(rig.produce, watch):
        got, took = await timed(read(rig.open(), 0, PAGE))
        assert bytes(got) == rig.content[:PAGE]

    assert took >= 100.0


async def test_a_reader_told_to_die_gets_its_read_back_alone(autojump_clock: MockClock) -> None:
    """Another reader that waits for the same block keeps waiting."""
    rig = make_rig(seconds=5.0)
    dying, living = rig.open(), rig.open()
    ends: list[str] = []

    async def die() -> None:
        await fails(ReaderGoneError, dying, 0)
        ends.append("died")

    async def live() -> None:
        await read(living, 0, PAGE)
        ends.append("served")

    async with background(rig.produce), trio.open_nursery() as readers:
        readers.start_soon(die)
        readers.start_soon(live)
        await wait_all_tasks_blocked()
        for waiting in rig.ring.waiting():
            if waiting.request.cursor is dying.cursor:
                rig.ring.reader_gone(waiting)

    assert ends == ["died", "served"]


async def test_shutting_ends_every_wait(autojump_clock: MockClock) -> None:
    """Reads that wait, or would wait, get ClosingError; resident blocks are still served."""
    rig = make_rig(seconds=5.0)
    consumer = rig.open()
    async with background(rig.produce):
        await read(consumer, 0, PAGE)
        async with trio.open_nursery() as readers:
            readers.start_soon(fails, ClosingError, consumer, 30 * PAGE)
            await wait_all_tasks_blocked()
            rig.ring.shut()
            await rig.ring.nobody_waits()
        await fails(ClosingError, consumer, 35 * PAGE)
        assert bytes(await read(consumer, 0, PAGE)) == rig.content[:PAGE]


async def test_closing_a_file_ends_its_waits(autojump_clock: MockClock) -> None:
    """Its cursor and its requests leave the ring."""
    rig = make_rig()
    consumer = rig.open()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fails, ReaderGoneError, consumer, 0)
        await wait_all_tasks_blocked()
        consumer.close()

    assert (rig.ring.rules.open_cursors, rig.ring.waiting()) == ({}, [])


async def test_a_probe_is_answered_while_a_pack_is_held(autojump_clock: MockClock) -> None:
    """A ring full of blocks that a stopped reader needs still has a slot for a read at the end."""
    rig = make_rig(slots=8, patience=1000.0, seconds=0.001)
    stopped, front = rig.open(), rig.open()

    async with background(rig.produce) as nursery:
        await read(stopped, 0, 100)
        nursery.start_soon(read_all, front, PAGE)
        await trio.sleep(1)
        found, took = await timed(read(rig.open(), len(rig.content) - 100, 100))
        found = bytes(found)

    assert found == rig.content[-100:]
    assert took < 0.1
