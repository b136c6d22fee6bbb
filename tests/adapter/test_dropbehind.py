"""Dropping the page cache behind readers: what is sent to the kernel, when, and for whom."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
import trio.testing

from fanoutfs.fuse.drop_behind import CHUNK, MARGIN, NOTIFICATION, DropBehind
from fanoutfs.fuse.files import ReaderHandle
from fanoutfs.fuse.reader import Reader
from fanoutfs.ring.memory import Memory
from fanoutfs.ring.ring import Ring
from fanoutfs.ring.rules import Rules
from fanoutfs.units import MIB, PAGE

SIZE = 1024 * MIB


def make_handle() -> ReaderHandle:
    rules = Rules(blocks=1024, slots=2, run=1, patience=10.0, turn=2.0)
    ring = Ring(size=SIZE, block=MIB, rules=rules, memory=Memory(2, PAGE))
    return ReaderHandle(Reader(ring, 1, 0, "test"), 77, cached=True)


@asynccontextmanager
async def dropping(descriptor: int) -> AsyncIterator[DropBehind]:
    drop_behind = DropBehind()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drop_behind.run, descriptor)
        await trio.testing.wait_all_tasks_blocked()
        yield drop_behind
        nursery.cancel_scope.cancel()


async def sent(handle: ReaderHandle, reads: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Read as a reader; return the (offset, length) pairs that the kernel is told to drop."""
    told, descriptor = os.pipe()
    for offset, size in reads:
        handle.consumer.stream.begin(offset, size)
        handle.consumer.stream.acknowledge(offset, size)
        async with dropping(descriptor) as drop_behind:
            drop_behind.passed(handle)
            while handle.dropping:
                await trio.lowlevel.checkpoint()
    os.close(descriptor)
    messages = os.read(told, 65536)
    os.close(told)
    fields = list(NOTIFICATION.iter_unpack(messages))
    assert {field[:4] for field in fields} <= {(40, 2, 0, 77)}
    return [field[4:] for field in fields]


async def test_what_a_reader_left_behind_is_dropped_piece_by_piece() -> None:
    """Adjoining pieces from 0 on, each well behind the position."""
    steps = (MARGIN + 3 * CHUNK) // MIB
    drops = await sent(make_handle(), [(i * MIB, MIB) for i in range(steps)])

    assert drops == [(i * CHUNK, CHUNK) for i in range(3)]


async def test_nothing_is_dropped_within_the_margin() -> None:
    """A read-ahead may be in flight there, and to wait for it is to wait for ourselves."""
    assert await sent(make_handle(), [(0, MARGIN + CHUNK - 1)]) == []


async def test_nothing_is_dropped_behind_one_that_jumps() -> None:
    """It has left nothing in a row, and may come back."""
    assert await sent(make_handle(), [(i * 50 * MIB, MIB) for i in range(1, 20)]) == []


async def test_after_a_jump_dropping_begins_where_reading_goes_on() -> None:
    """Nothing before the place that it jumped to."""
    start = 500 * MIB
    first = [(i * MIB, MIB) for i in range(4)]
    drops = await sent(make_handle(), first + [(start + i * MIB, MIB) for i in range(40)])

    assert drops[0][0] >= start - MARGIN
    assert all(offset + length <= start + 40 * MIB - MARGIN for offset, length in drops)


async def test_at_most_one_drop_per_handle_is_under_way() -> None:
    """While one is, nothing is sent; the next one takes all that has been left behind since."""
    handle = make_handle()
    handle.dropped, handle.dropping = 0, True
    handle.consumer.stream.begin(0, 100 * MIB)
    handle.consumer.stream.acknowledge(0, 100 * MIB)
    async with dropping(1 << 20) as drop_behind:
        drop_behind.passed(handle)
    assert handle.dropped == 0

    handle.dropping = False

    assert await sent(handle, [(100 * MIB, MIB)]) == [(0, 101 * MIB - MARGIN)]
