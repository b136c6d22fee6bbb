"""Blocks granted to consumers that copy them out of the ring themselves, on trio's own clock."""

import contextlib
import hashlib
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from fanoutfs.digests import slot_cache as digests_module
from fanoutfs.digests.digest import DIGEST_SIZE
from fanoutfs.errors import SourceBrokeError
from fanoutfs.shm.grant_table import GrantTable
from fanoutfs.shm.lender import Lender
from fanoutfs.units import PAGE
from tests.limits import HANG_SECONDS
from tests.tasks.borrowing import Copy, copying, is_empty, lend, only
from tests.tasks.rig import BLOCKS, SIZE, Rig, background, make_rig, read, read_all, timed


async def copy(lender: Lender, most: int, seconds: float = 0.0) -> Copy:
    """Copy the whole image, with its lender in the background."""
    async with copying(lender) as made:
        await made.all(most, seconds)
    return made


@pytest.mark.parametrize("slots", [2, 3, 8, 64])
@pytest.mark.parametrize("window", [1, 3, 20])
@pytest.mark.parametrize("start", [0, 1, 36, 37])
async def test_a_copy_gets_each_block_once_from_its_start_round(
    slots: int, window: int, start: int, autojump_clock: MockClock
) -> None:
    """In order, from the first, an inner and the last, short block on; the source is read once."""
    rig = make_rig(SIZE, slots)

    async with background(rig.produce):
        made = await copy(lend(rig, start, window=window), most=window)

    assert made.places == list(range(start, start + BLOCKS))
    assert made.content == rig.content
    assert sorted(rig.blocks_read) == list(range(BLOCKS))
    assert is_empty(rig)


async def test_a_copy_that_had_another_producer_gets_the_rest_alone(autojump_clock: MockClock) -> None:
    """From the block that it needs next, in the second lap, to where its turn began."""
    rig = make_rig(SIZE)
    lender = lend(rig, 30, from_block=41)

    async with background(rig.produce), copying(lender, from_block=41) as made:
        await made.all(2)

    assert made.places == list(range(41, 68))
    assert sorted(rig.blocks_read) == list(range(3, 30))


async def test_no_more_blocks_are_granted_than_the_window(autojump_clock: MockClock) -> None:
    """Also when the window has shrunk, and the blocks freed at once make room for a single one."""
    rig = make_rig(slots=16, run=4, patience=1e9)
    window = [6]
    lender = lend(rig, window=6)
    lender.window = lambda _: window[0]
    granted = []

    async with background(rig.produce), copying(lender) as made:
        for window[0], takes in ((6, 0), (6, 2), (3, 2), (3, 2), (1, 3), (1, 1)):
            if takes:
                await made.some(takes)
            await trio.sleep(60)
            granted.append(rig.ring.rules.granted.total())
        await made.all(1)

    assert granted == [6, 6, 4, 3, 1, 1]
    assert made.content == rig.content


async def test_a_pack_of_copies_and_readers_is_served_by_one_pass(autojump_clock: MockClock) -> None:
    """Of different speeds, sizes and kinds: the source is read once for all, none waits out its patience."""
    rig = make_rig(slots=8, seconds=0.1)
    begun = trio.current_time()
    contents = []

    async def follow(window: int, most: int, seconds: float) -> None:
        contents.append((await copy(lend(rig, window=window), most, seconds)).content)

    async with background(rig.produce), trio.open_nursery() as consumers:
        consumers.start_soon(follow, 4, 4, 0.0)
        consumers.start_soon(follow, 2, 1, 0.7)
        consumers.start_soon(follow, 1, 1, 0.2)
        consumers.start_soon(read_all, rig.open(), PAGE)

    assert contents == [rig.content] * 3
    assert sorted(rig.blocks_read) == list(range(40))
    assert trio.current_time() - begun < 40 * 0.8


async def test_a_consumer_that_stops_loses_its_grants_but_copies_right(autojump_clock: MockClock) -> None:
    """After its patience its slots serve the others; it copies the blocks that it frees then once more."""
    rig = make_rig(slots=8, seconds=0.001, patience=10.0)

    async with background(rig.produce), copying(lend(rig, 20)) as stopped:
        await stopped.some(1)
        await trio.sleep(1)
        borrower = stopped.borrower
        count = borrower.wait(4, 0)
        grants = borrower.grants(count)
        other, took = await timed(copy(lend(rig, 20), most=4))
        seen = [bytes(borrower.block(grant, borrower.turn.next + i)) for i, grant in enumerate(grants)]
        granted_to_stopped = rig.ring.rules.granted.total()
        believed = borrower.free(count)
        await stopped.all(4)

    assert other.content == rig.content
    assert 9.0 <= took <= 10.0
    assert granted_to_stopped == 0
    assert b"".join(seen) != rig.content[21 * PAGE : 25 * PAGE]
    assert not believed
    assert stopped.places == list(range(20, 60))
    assert stopped.content == rig.content
    assert is_empty(rig)


MOMENTS = ["before the epoch ends", "just after, having looked before", "long after", "not at all"]


@pytest.mark.parametrize("when", MOMENTS)
async def test_all_is_freed_at_the_very_moment_the_epoch_ends(
    when: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The copy is right, and known to be; the consumer sees that its epoch is over, and continues from there.

    In "not at all" it sees the new epoch before it is told of it, and asks for the next block at once.
    """
    rig = make_rig(slots=8, seconds=0.001, patience=10.0)
    lender = lend(rig)
    next_epoch, moments = GrantTable.next_epoch, []

    def free_late() -> None:
        borrower.turn = borrower.turn.advanced(count)
        os.write(borrower._freed, bytes(count))

    def end_epoch(table: GrantTable) -> None:
        moments.append(borrower.turn.next)
        if when == "before the epoch ends":
            assert borrower.free(count)
        next_epoch(table)
        if when == "just after, having looked before":
            free_late()

    async with background(rig.produce), copying(lender) as made:
        borrower = made.borrower
        await made.some(1)
        await trio.sleep(1)
        count = borrower.wait(4, 0)
        monkeypatch.setattr(GrantTable, "next_epoch", end_epoch)
        await trio.sleep(15)
        monkeypatch.undo()
        if when == "long after":
            free_late()
            assert borrower.wait(4, 0) == 0
        elif when == "not at all":
            borrower._connection.request("resume", block=borrower.turn.next)
            borrower._epoch = lender.grant_table.epoch
            borrower._epoch_began = borrower.turn.next
        with trio.fail_after(100):
            await made.all(4)

    assert count > 0
    assert moments == [1]
    first = 1 if when == "not at all" else 1 + count
    assert made.places == [0, *range(first, 40)]
    assert made.content[first * PAGE :] == rig.content[first * PAGE :]
    assert is_empty(rig)


@asynccontextmanager
async def all_slots_granted(rig: Rig) -> AsyncIterator[Copy]:
    """Run a consumer to which all slots of a rig are granted."""
    slots = rig.ring.rules.slots
    async with background(rig.produce):
        for block in range(slots, 0, -1):
            # Read out of turn, since they don't begin at the head: so all slots are used.
            probe = rig.open()
            await read(probe, block * PAGE, PAGE)
            probe.close()
        async with copying(lend(rig, 1, window=slots)) as made:
            await trio.sleep(0.1)
            assert rig.ring.rules.granted.total() == slots
            yield made


async def test_a_freed_slot_is_used_at_once_when_all_are_granted(autojump_clock: MockClock) -> None:
    """The reader that waited for a slot waits no longer."""
    rig = make_rig(slots=8, seconds=0.001, patience=1000.0)

    async with all_slots_granted(rig) as holder, background() as nursery:
        nursery.start_soon(read, rig.open(), 30 * PAGE, PAGE)
        await trio.sleep(1)
        waits = len(rig.ring.waiting())
        await holder.some(1)
        await trio.sleep(1)
        waits_still = len(rig.ring.waiting())

    assert (waits, waits_still) == (1, 0)


async def test_all_slots_are_granted_to_a_consumer_that_stops(autojump_clock: MockClock) -> None:
    """A reader that waits for a slot gets it when the patience is over."""
    rig = make_rig(slots=8, seconds=0.001, patience=10.0)

    async with all_slots_granted(rig):
        with trio.fail_after(50):
            found, took = await timed(read(rig.open(), 30 * PAGE, PAGE))
        found = bytes(found)

    assert found == rig.content[30 * PAGE : 31 * PAGE]
    assert 9.0 <= took <= 10.0


async def test_a_bad_block_fails_the_consumers_that_reach_it(autojump_clock: MockClock) -> None:
    """They have had all blocks before it; the error names the bytes; a reader elsewhere is served."""
    rig = make_rig()
    rig.bad[5] = [(100, 200)]

    async with background(rig.produce):
        with pytest.raises(ExceptionGroup) as caught:
            async with copying(lend(rig, 2)) as made:
                await made.all(3)
        left = is_empty(rig)
        found = bytes(await read(rig.open(), 6 * PAGE, 10 * PAGE))
        rig.bad.clear()
        again = await copy(lend(rig, 2), most=3)

    error = only(caught.value)
    assert isinstance(error, SourceBrokeError)
    assert f"byte {5 * PAGE + 100} to before {5 * PAGE + 200}" in str(error)
    assert made.places == [2, 3, 4]
    assert left
    assert found == rig.content[6 * PAGE : 16 * PAGE]
    assert again.content == rig.content


async def free_too_many(made: Copy) -> None:
    os.write(made.borrower._freed, bytes(5))


async def resume_unasked(made: Copy) -> None:
    made.borrower._connection.request("resume", block=0)


async def fill_the_count_of_its_blocks(made: Copy) -> None:
    """Write to the end to read, opened anew by its name in /proc; so the next grant can't be posted."""
    end = os.open(f"/proc/self/fd/{made.borrower._filled}", os.O_WRONLY | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(end, bytes(PAGE))
    os.close(end)
    os.write(made.borrower._freed, bytes(1))


async def free_too_many_late(made: Copy) -> None:
    """Report more than it held, piece by piece, after the end of its epoch."""
    await trio.sleep(20)
    for _ in range(3):
        os.write(made.borrower._freed, bytes(1))
        await trio.sleep(1)


async def only_hold(made: Copy) -> None:
    """Ask for a new epoch each time that one ends, and copy nothing."""
    while True:
        await trio.lowlevel.wait_readable(made.borrower._filled)
        made.borrower.wait(2, 0)


@pytest.mark.parametrize(
    "misbehave",
    [free_too_many, resume_unasked, fill_the_count_of_its_blocks, free_too_many_late, only_hold],
)
async def test_a_consumer_that_breaks_the_rules_is_refused(
    misbehave: Callable[[Copy], Awaitable[None]], autojump_clock: MockClock
) -> None:
    """It gets an error of its own; no other consumer's blocks are touched."""
    rig = make_rig(patience=10.0)

    async def consume() -> None:
        async with copying(lend(rig, window=2)) as made:
            await trio.sleep(5)
            await misbehave(made)
            await trio.sleep_forever()

    async with background(rig.produce):
        with pytest.raises(ExceptionGroup) as caught:
            await consume()
        left = is_empty(rig)
        other = await copy(lend(rig), most=2)

    assert isinstance(only(caught.value), ValueError)
    assert left
    assert other.content == rig.content


@pytest.mark.parametrize("closes", [False, True])
async def test_a_consumer_does_what_it_likes_to_its_ends(*, closes: bool, autojump_clock: MockClock) -> None:
    """It closes them or makes them blocking: nothing blocks here, and what it holds is revoked in time."""
    rig = make_rig(slots=4, patience=10.0)

    async with background(rig.produce), copying(lend(rig)) as made:
        await trio.sleep(5)
        for end in (made.borrower._filled, made.borrower._freed):
            os.set_blocking(end, True)
        if closes:
            empty, _ = ends = os.pipe()
            for end in (made.borrower._filled, made.borrower._freed):
                os.dup2(empty, end)
            for end in ends:
                os.close(end)
        other = await copy(lend(rig), most=2)
        await trio.sleep(20)
        held = rig.ring.rules.granted.total()

    assert other.content == rig.content
    assert held == 0
    assert is_empty(rig)


@pytest.mark.parametrize("start", [0, 30])
async def test_a_verifying_consumer_gets_each_blocks_digest(
    start: int, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """With its grant, the short last block's too; for two in a pack each block is hashed once."""
    rig = make_rig(SIZE, patience=float("inf"))
    hashed: list[int] = []
    made = []

    def digest(block: memoryview) -> bytes:
        hashed.append(len(block))
        return digest_of(block)

    monkeypatch.setattr(digests_module, "digest", digest)

    async def follow() -> None:
        made.append(await copy(lend(rig, start, digests=True), most=3))

    async with background(rig.produce), trio.open_nursery() as consumers:
        consumers.start_soon(follow)
        consumers.start_soon(follow)

    expected = [digest_of(block_of(rig, place)) for place in range(start, start + BLOCKS)]
    assert [one.digests for one in made] == [expected, expected]
    assert sorted(hashed) == [123, *[PAGE] * 37]


async def test_an_epoch_ends_while_hashing(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """Their digests are dropped: the next epoch has its own grants, with the right digests."""
    rig = make_rig(slots=4, patience=10.0, seconds=0.001)
    go = threading.Event()
    monkeypatch.setattr(
        digests_module, "digest", lambda block: digest_of(block) if go.wait(HANG_SECONDS) else b""
    )
    lender = lend(rig, digests=True)

    async with background(rig.produce), copying(lender) as made:
        await trio.sleep(15)
        assert made.borrower.wait(4, 0) == 0
        epoch = lender.grant_table.epoch
        rig.ring.rules.patience = rig.ring.rules.cursors.patience = float("inf")
        go.set()
        await made.all(4)

    assert epoch == 1
    assert made.places == list(range(40))
    assert made.content == rig.content
    assert made.digests == [digest_of(block_of(rig, place)) for place in range(40)]
    assert is_empty(rig)


def digest_of(block: bytes | memoryview) -> bytes:
    return hashlib.sha256(block).digest()[:DIGEST_SIZE]


def block_of(rig: Rig, place: int) -> bytes:
    at = place % rig.ring.rules.blocks * PAGE
    return rig.content[at : at + PAGE]
