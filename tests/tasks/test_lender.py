"""Blocks granted to consumers that copy them out of the ring themselves, on trio's own clock."""

import hashlib
import os
import threading
from collections.abc import Awaitable, Callable
from functools import partial

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
from tests.tasks.borrowing import Copy, borrow, is_empty, lend, only
from tests.tasks.rig import Rig, make_rig, read, read_all

SIZE = 37 * PAGE + 123
"""No multiple of a block: the last of the 38 is short."""


async def copy(lender: Lender, most: int, seconds: float = 0.0) -> Copy:
    """Copy the whole image, with its lender running beside it; nothing of it is left in the ring."""
    made = Copy(borrow(lender))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lender.run)
        await made.all(most, seconds)
        nursery.cancel_scope.cancel()
    made.close()
    lender.close()
    return made


async def together(*tasks: Callable[[], Awaitable[None]]) -> None:
    """Run them at once, until one has failed or all have ended."""
    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(task)


@pytest.mark.parametrize("slots", [2, 3, 8, 64])
@pytest.mark.parametrize("window", [1, 3, 20])
@pytest.mark.parametrize("start", [0, 1, 36, 37])
async def test_a_copy_gets_each_block_once_from_its_start_round(
    slots: int, window: int, start: int, autojump_clock: MockClock
) -> None:
    """In order, from the first, an inner and the last, short block on; the source is read once."""
    rig = make_rig(SIZE, slots)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        made = await copy(lend(rig, start, window=window), most=window)
        nursery.cancel_scope.cancel()

    assert made.places == list(range(start, start + 38))
    assert made.content == rig.content
    assert sorted(rig.blocks_read) == list(range(38))
    assert is_empty(rig)


async def test_a_copy_that_had_another_producer_gets_the_rest_alone(autojump_clock: MockClock) -> None:
    """From the block that it needs next, in the second lap, to where its turn began."""
    rig = make_rig(SIZE)
    lender = lend(rig, 30, from_block=41)
    made = Copy(borrow(lender, from_block=41))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        nursery.start_soon(lender.run)
        await made.all(2)
        nursery.cancel_scope.cancel()
    made.close()
    lender.close()

    assert made.places == list(range(41, 68))
    assert sorted(rig.blocks_read) == list(range(3, 30))


async def test_no_more_is_in_hand_than_the_window(autojump_clock: MockClock) -> None:
    """Also when the window has shrunk, and what was freed in one piece has made room for one alone."""
    rig = make_rig(slots=16, run=4, patience=1e9)
    window = [6]
    lender = lend(rig, window=6)
    lender.window = lambda _: window[0]
    consumer = Copy(borrow(lender))
    in_hand = []

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        nursery.start_soon(lender.run)
        for window[0], takes in ((6, 0), (6, 2), (3, 2), (3, 2), (1, 3), (1, 1)):
            if takes:
                await consumer.some(takes)
            await trio.sleep(60)
            in_hand.append(rig.ring.rules.granted.total())
        await consumer.all(1)
        nursery.cancel_scope.cancel()
    consumer.close()
    lender.close()

    assert in_hand == [6, 6, 4, 3, 1, 1]
    assert consumer.content == rig.content


async def test_a_pack_of_copies_and_readers_is_served_by_one_pass(autojump_clock: MockClock) -> None:
    """Of unlike speeds, pieces and kinds: the source is read once for all, none waits out its patience."""
    rig = make_rig(slots=8, seconds=0.1)
    begun = trio.current_time()
    contents = []

    async def follow(window: int, most: int, seconds: float) -> None:
        contents.append((await copy(lend(rig, window=window), most, seconds)).content)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        async with trio.open_nursery() as consumers:
            consumers.start_soon(follow, 4, 4, 0.0)
            consumers.start_soon(follow, 2, 1, 0.7)
            consumers.start_soon(follow, 1, 1, 0.2)
            consumers.start_soon(read_all, rig.open(), PAGE)
        nursery.cancel_scope.cancel()

    assert contents == [rig.content] * 3
    assert sorted(rig.blocks_read) == list(range(40))
    assert trio.current_time() - begun < 40 * 0.8


async def test_one_that_stops_loses_what_it_has_in_hand_and_ends_right(autojump_clock: MockClock) -> None:
    """After its patience its slots are used for the others; what it frees then it has to copy again."""
    rig = make_rig(slots=8, seconds=0.001, patience=10.0)
    lender = lend(rig, 20)
    stopped = Copy(borrow(lender))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        nursery.start_soon(lender.run)
        await stopped.some(1)
        await trio.sleep(1)
        count = stopped.borrower.wait(4, 0)
        grants = stopped.borrower.grants(count)
        begun = trio.current_time()
        other = await copy(lend(rig, 20), most=4)
        took = trio.current_time() - begun
        seen = [
            bytes(stopped.borrower.block(grant, stopped.borrower.turn.next + i))
            for i, grant in enumerate(grants)
        ]
        in_hand_of_stopped = rig.ring.rules.granted.total()
        believed = stopped.borrower.free(count)
        await stopped.all(4)
        nursery.cancel_scope.cancel()
    stopped.close()
    lender.close()

    assert other.content == rig.content
    assert 9.0 <= took <= 10.0
    assert in_hand_of_stopped == 0
    assert b"".join(seen) != rig.content[21 * PAGE : 25 * PAGE]
    assert not believed
    assert stopped.places == list(range(20, 60))
    assert stopped.content == rig.content
    assert is_empty(rig)


MOMENTS = ["before the epoch ends", "just after, having looked before", "long after", "not at all"]


@pytest.mark.parametrize("when", MOMENTS)
async def test_all_is_freed_at_the_very_moment_the_term_ends(
    when: str, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """The copy is right, and known to be; the consumer sees that its epoch is over, and goes on from there.

    "Not at all" is one that sees the new epoch before it is told of it, and asks for the next at once.
    """
    rig = make_rig(slots=8, seconds=0.001, patience=10.0)
    lender = lend(rig)
    made = Copy(borrow(lender))
    borrower = made.borrower
    next_epoch, moments = GrantTable.next_epoch, []

    def free_it(table: GrantTable) -> None:
        moments.append(borrower.turn.next)
        if when == "before the epoch ends":
            assert borrower.free(count)
        next_epoch(table)
        if when == "just after, having looked before":
            borrower.turn = borrower.turn.advanced(count)
            os.eventfd_write(borrower._freed, count)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        nursery.start_soon(lender.run)
        await made.some(1)
        await trio.sleep(1)
        count = borrower.wait(4, 0)
        monkeypatch.setattr(GrantTable, "next_epoch", free_it)
        await trio.sleep(15)
        monkeypatch.undo()
        if when == "long after":
            borrower.turn = borrower.turn.advanced(count)
            os.eventfd_write(borrower._freed, count)
            assert borrower.wait(4, 0) == 0
        elif when == "not at all":
            borrower._connection.request("resume", block=borrower.turn.next)
            borrower._epoch = lender.grant_table.epoch
            borrower._epoch_began = borrower.turn.next
        with trio.fail_after(100):
            await made.all(4)
        nursery.cancel_scope.cancel()
    made.close()
    lender.close()

    assert count > 0
    assert moments == [1]
    first = 1 if when == "not at all" else 1 + count
    assert made.places == [0, *range(first, 40)]
    assert made.content[first * PAGE :] == rig.content[first * PAGE :]
    assert is_empty(rig)


async def hold_all(rig: Rig, nursery: trio.Nursery) -> tuple[Lender, Copy]:
    """Give a consumer that has all the slots in hand."""
    slots = rig.ring.rules.slots
    nursery.start_soon(rig.produce)
    for block in range(slots, 0, -1):
        # Read out of turn, since they don't begin at the head: so all slots are used.
        probe = rig.open()
        await read(probe, block * PAGE, PAGE)
        probe.close()
    lender = lend(rig, 1, window=slots)
    nursery.start_soon(lender.run)
    await trio.sleep(0.1)
    assert rig.ring.rules.granted.total() == slots
    return lender, Copy(borrow(lender))


async def test_all_slots_are_in_one_hand_and_one_block_is_freed(autojump_clock: MockClock) -> None:
    """Whoever waited for a slot has it at once."""
    rig = make_rig(slots=8, seconds=0.001, patience=1000.0)

    async with trio.open_nursery() as nursery:
        lender, holder = await hold_all(rig, nursery)
        nursery.start_soon(read, rig.open(), 30 * PAGE, PAGE)
        await trio.sleep(1)
        waits = len(rig.ring.waiting())
        await holder.some(1)
        await trio.sleep(1)
        waits_still = len(rig.ring.waiting())
        nursery.cancel_scope.cancel()
    holder.close()
    lender.close()

    assert (waits, waits_still) == (1, 0)


async def test_all_slots_are_in_the_hand_of_one_that_stops(autojump_clock: MockClock) -> None:
    """Whoever waits for a slot has it when that one's patience is over."""
    rig = make_rig(slots=8, seconds=0.001, patience=10.0)

    async with trio.open_nursery() as nursery:
        lender, holder = await hold_all(rig, nursery)
        begun = trio.current_time()
        with trio.fail_after(50):
            found = bytes(await read(rig.open(), 30 * PAGE, PAGE))
        took = trio.current_time() - begun
        nursery.cancel_scope.cancel()
    holder.close()
    lender.close()

    assert found == rig.content[30 * PAGE : 31 * PAGE]
    assert 9.0 <= took <= 10.0


async def test_a_bad_block_ends_the_wait_of_those_who_come_to_it(autojump_clock: MockClock) -> None:
    """They have had all before it; the error names the bytes; a reader of other places goes on."""
    rig = make_rig()
    rig.bad[5] = [(100, 200)]
    lender = lend(rig, 2)
    made = Copy(borrow(lender))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        with pytest.raises(ExceptionGroup) as caught:
            await together(lender.run, partial(made.all, 3))
        made.close()
        lender.close()
        left = is_empty(rig)
        found = bytes(await read(rig.open(), 6 * PAGE, 10 * PAGE))
        rig.bad.clear()
        again = await copy(lend(rig, 2), most=3)
        nursery.cancel_scope.cancel()

    error = only(caught.value)
    assert isinstance(error, SourceBrokeError)
    assert f"byte {5 * PAGE + 100} to before {5 * PAGE + 200}" in str(error)
    assert made.places == [2, 3, 4]
    assert left
    assert found == rig.content[6 * PAGE : 16 * PAGE]
    assert again.content == rig.content


async def free_too_many(made: Copy) -> None:
    await trio.sleep(5)
    os.eventfd_write(made.borrower._freed, 5)


async def resume_unasked(made: Copy) -> None:
    await trio.sleep(5)
    made.borrower._connection.request("resume", block=0)


@pytest.mark.parametrize("misbehaves", [free_too_many, resume_unasked])
async def test_a_consumer_that_does_not_keep_to_the_rules_is_refused(
    misbehaves: Callable[[Copy], Awaitable[None]], autojump_clock: MockClock
) -> None:
    """It is told so by an error of its own; nobody else's blocks are touched."""
    rig = make_rig()
    lender = lend(rig, window=2)
    made = Copy(borrow(lender))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        with pytest.raises(ExceptionGroup) as caught:
            await together(lender.run, partial(misbehaves, made))
        made.close()
        lender.close()
        left = is_empty(rig)
        other = await copy(lend(rig), most=2)
        nursery.cancel_scope.cancel()

    assert isinstance(only(caught.value), ValueError)
    assert left
    assert other.content == rig.content


@pytest.mark.parametrize("start", [0, 30])
async def test_whoever_verifies_gets_each_blocks_digest(
    start: int, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """With its grant, the short last block's too; two of a pack have each block hashed once."""
    rig = make_rig(SIZE, patience=float("inf"))
    hashed: list[int] = []
    made = []

    def digest(block: memoryview) -> bytes:
        hashed.append(len(block))
        return digest_of(block)

    monkeypatch.setattr(digests_module, "digest", digest)

    async def follow() -> None:
        made.append(await copy(lend(rig, start, digests=True), most=3))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        async with trio.open_nursery() as consumers:
            consumers.start_soon(follow)
            consumers.start_soon(follow)
        nursery.cancel_scope.cancel()

    expected = [digest_of(block_of(rig, place)) for place in range(start, start + 38)]
    assert [one.digests for one in made] == [expected, expected]
    assert sorted(hashed) == [123, *[PAGE] * 37]


async def test_a_term_ends_while_its_blocks_are_hashed(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """What comes of it is for nobody: the next epoch has its own grants, with the right digests."""
    rig = make_rig(slots=4, patience=10.0, seconds=0.001)
    go = threading.Event()
    monkeypatch.setattr(
        digests_module, "digest", lambda block: digest_of(block) if go.wait(HANG_SECONDS) else b""
    )
    lender = lend(rig, digests=True)
    made = Copy(borrow(lender))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.produce)
        nursery.start_soon(lender.run)
        await trio.sleep(15)
        assert made.borrower.wait(4, 0) == 0
        epoch = lender.grant_table.epoch
        rig.ring.rules.patience = rig.ring.rules.cursors.patience = float("inf")
        go.set()
        await made.all(4)
        nursery.cancel_scope.cancel()
    made.close()
    lender.close()

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
