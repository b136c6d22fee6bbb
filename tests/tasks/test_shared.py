"""Waiting in the ring, on trio's own clock: no test here takes any time."""

import random

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fanoutfs.errors import ClosingError, ReaderGoneError, SourceBrokeError, SourceHungError
from fanoutfs.units import PAGE
from tests.tasks.rig import make_rig, read, read_all


@pytest.mark.parametrize("slots", [2, 3, 8, 64])
@pytest.mark.parametrize("piece", [512, 1000, PAGE, 3 * PAGE + 17, 20 * PAGE])
async def test_every_reader_gets_the_sources_bytes(slots: int, piece: int, autojump_clock: MockClock) -> None:
    """Five readers, one late, sizes that fit nothing: all right, also when a request exceeds the ring."""
    rig = make_rig(37 * PAGE + 123, slots)
    results: list[bytes] = []

    async def reader(delay: float) -> None:
        await trio.sleep(delay)
        results.append(await read_all(rig.open(), piece))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        async with trio.open_nursery() as readers:
            for delay in (0, 0, 0, 1, 9):
                readers.start_soon(reader, delay)
        nursery.cancel_scope.cancel()

    assert results == [rig.content] * 5
    assert rig.ring.rules.open_cursors == {}
    assert rig.ring.waiting() == []


@pytest.mark.parametrize("begins_at_0", [False, True])
async def test_jumping_readers_get_the_sources_bytes(*, begins_at_0: bool, autojump_clock: MockClock) -> None:
    """Reads anywhere, of any size, many at once on one handle: each gets the bytes at its own offset.

    What is read for it is what it touches, give or take what others took the slots of.
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

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        if begins_at_0:
            await read(consumer, 0, PAGE)
        for _ in range(30):
            async with trio.open_nursery() as readers:
                for _ in range(8):
                    offset, size = chance.randrange(len(rig.content) + 9), chance.randrange(9 * PAGE)
                    touched += (offset + size) // PAGE - offset // PAGE + 1
                    readers.start_soon(one, offset, size)
        nursery.cancel_scope.cancel()

    assert wrong == []
    assert consumer.cursor.requests == []
    assert len(rig.blocks_read) <= 2 * touched


async def test_readers_that_start_together_are_served_by_one_pass(autojump_clock: MockClock) -> None:
    """The source is read once for all of them, whatever their sizes."""
    rig = make_rig(slots=8)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        async with trio.open_nursery() as readers:
            for piece in (512, PAGE, 2 * PAGE, 1000):
                readers.start_soon(read_all, rig.open(), piece)
        nursery.cancel_scope.cancel()

    assert sorted(rig.blocks_read) == list(range(40))


async def test_a_stopped_reader_holds_the_others_for_its_patience(autojump_clock: MockClock) -> None:
    """R5 on the clock: the front stands until patience is over, then goes on to the end."""
    rig = make_rig(slots=8, patience=10.0, seconds=0.001)
    stopped, goes = rig.open(), rig.open()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        await read(stopped, 0, PAGE)
        begun = trio.current_time()
        got = await read_all(goes, PAGE)
        took = trio.current_time() - begun
        rest = [bytes(await read(stopped, i * PAGE, PAGE)) for i in range(1, 40)]
        nursery.cancel_scope.cancel()

    assert got == rig.content
    assert 10.0 <= took <= 11.0
    assert b"".join(rest) == rig.content[PAGE:]


async def test_one_that_was_opened_and_never_read_holds_nobody(autojump_clock: MockClock) -> None:
    """Not even for its patience."""
    rig = make_rig(slots=8, seconds=0.001)
    rig.open()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        begun = trio.current_time()
        await read_all(rig.open(), PAGE)
        took = trio.current_time() - begun
        nursery.cancel_scope.cancel()

    assert took < 1.0


async def test_nobody_reads_and_the_source_is_left_alone(autojump_clock: MockClock) -> None:
    """The producer parks; it neither reads nor looks again by itself."""
    rig = make_rig()
    rig.open()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        await trio.sleep(1000)
        nursery.cancel_scope.cancel()

    assert rig.blocks_read == []


async def test_a_cancelled_read_leaves_nothing(autojump_clock: MockClock) -> None:
    """Its request is taken out; the next reader of the same bytes is served."""
    rig = make_rig()
    consumer = rig.open()
    with trio.move_on_after(5):
        await read(consumer, 0, PAGE)

    assert (consumer.cursor.requests, rig.ring.waiting()) == ([], [])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        assert bytes(await read(consumer, 0, PAGE)) == rig.content[:PAGE]
        nursery.cancel_scope.cancel()


async def test_a_bad_place_fails_those_who_read_it_alone(autojump_clock: MockClock) -> None:
    """The bytes beside it, in the same block and the same request's neighbour, are right."""
    rig = make_rig()
    rig.bad[5] = [(100, 200)]
    place = 5 * PAGE
    consumer = rig.open()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        assert bytes(await read(consumer, place, 100)) == rig.content[place : place + 100]
        assert bytes(await read(consumer, place + 200, 9)) == rig.content[place + 200 : place + 209]
        for offset, size in ((place + 199, 1), (place - 10, 120), (place + 100, PAGE), (0, 20 * PAGE)):
            with pytest.raises(SourceBrokeError):
                await read(consumer, offset, size)
        nursery.cancel_scope.cancel()

    assert (consumer.cursor.requests, rig.ring.waiting()) == ([], [])


async def test_a_bad_place_is_tried_again_for_the_next_request(autojump_clock: MockClock) -> None:
    """An error is not kept: when the source has come back, the next reader gets its bytes."""
    rig = make_rig()
    rig.bad[5] = [(0, PAGE)]
    consumer = rig.open()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        for _ in range(2):
            with pytest.raises(SourceBrokeError):
                await read(consumer, 5 * PAGE, 100)
        tried = rig.blocks_read.count(5)
        rig.bad.clear()
        found = bytes(await read(consumer, 5 * PAGE, 100))
        nursery.cancel_scope.cancel()

    assert tried == 2
    assert found == rig.content[5 * PAGE : 5 * PAGE + 100]


async def test_a_hanging_source_fails_those_who_wait_too_long(autojump_clock: MockClock) -> None:
    """Within the limit, and once it answers again, readers are served again."""
    rig = make_rig(seconds=100.0)
    consumer = rig.open()
    failed_after = []

    async def watch() -> None:
        while True:
            await trio.sleep(1)
            rig.ring.source_hangs(30.0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        nursery.start_soon(watch)
        begun = trio.current_time()
        with pytest.raises(SourceHungError):
            await read(consumer, 0, PAGE)
        failed_after.append(trio.current_time() - begun)
        await trio.sleep(100)
        rig.seconds = 0.1
        assert bytes(await read(consumer, 0, PAGE)) == rig.content[:PAGE]
        nursery.cancel_scope.cancel()

    assert 30.0 <= failed_after[0] <= 31.0


async def test_a_reader_told_to_die_gets_its_read_back_alone(autojump_clock: MockClock) -> None:
    """Another one that waits for the same block goes on waiting."""
    rig = make_rig(seconds=5.0)
    dying, living = rig.open(), rig.open()
    ends: list[str] = []

    async def die() -> None:
        with pytest.raises(ReaderGoneError):
            await read(dying, 0, PAGE)
        ends.append("died")

    async def live() -> None:
        await read(living, 0, PAGE)
        ends.append("served")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        async with trio.open_nursery() as readers:
            readers.start_soon(die)
            readers.start_soon(live)
            await wait_all_tasks_blocked()
            for waiting in rig.ring.waiting():
                if waiting.request.cursor is dying.cursor:
                    rig.ring.reader_gone(waiting)
        nursery.cancel_scope.cancel()

    assert ends == ["died", "served"]


async def test_shutting_ends_every_wait(autojump_clock: MockClock) -> None:
    """Those who wait and those who would get ClosingError; what is resident is still served."""
    rig = make_rig(seconds=5.0)
    consumer = rig.open()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        await read(consumer, 0, PAGE)

        async def wait() -> None:
            with pytest.raises(ClosingError):
                await read(consumer, 30 * PAGE, PAGE)

        async with trio.open_nursery() as readers:
            readers.start_soon(wait)
            await wait_all_tasks_blocked()
            rig.ring.shut()
            await rig.ring.nobody_waits()
        with pytest.raises(ClosingError):
            await read(consumer, 35 * PAGE, PAGE)
        assert bytes(await read(consumer, 0, PAGE)) == rig.content[:PAGE]
        nursery.cancel_scope.cancel()


async def test_closing_a_file_ends_its_waits(autojump_clock: MockClock) -> None:
    """Nothing of it is left in the ring, whatever it was doing."""
    rig = make_rig()
    consumer = rig.open()

    async def wait() -> None:
        with pytest.raises(ReaderGoneError):
            await read(consumer, 0, PAGE)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await wait_all_tasks_blocked()
        consumer.close()

    assert (rig.ring.rules.open_cursors, rig.ring.waiting()) == ({}, [])


async def test_a_probe_is_answered_while_a_pack_is_held(autojump_clock: MockClock) -> None:
    """A ring full of what a stopped reader needs still has a slot for who looks at the end."""
    rig = make_rig(slots=8, patience=1000.0, seconds=0.001)
    stopped, front = rig.open(), rig.open()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        await read(stopped, 0, 100)
        nursery.start_soon(read_all, front, PAGE)
        await trio.sleep(1)
        begun = trio.current_time()
        found = bytes(await read(rig.open(), len(rig.content) - 100, 100))
        took = trio.current_time() - begun
        nursery.cancel_scope.cancel()

    assert found == rig.content[-100:]
    assert took < 0.1
