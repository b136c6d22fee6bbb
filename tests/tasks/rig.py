"""A ring on trio's clock, a producer that takes its time from that clock, and readers."""

import sys
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import TypeVar

import attrs
import pytest
import trio

from fanoutfs.digests.slot_cache import SlotDigests
from fanoutfs.fuse.gapped_reader import AnyReader, open_reader
from fanoutfs.layout import Layout
from fanoutfs.ring.memory import Memory
from fanoutfs.ring.resident_bytes import Buffer
from fanoutfs.ring.ring import Ring
from fanoutfs.ring.rules import Rules
from fanoutfs.units import PAGE

BLOCKS = 38
SIZE = (BLOCKS - 1) * PAGE + 123
"""Bytes of an image that is no multiple of a block: the last of the 38 blocks is short."""

T = TypeVar("T")


def pattern(size: int) -> bytes:
    """Return bytes of which every 8 are their own offset: a misplaced byte shows where it came from."""
    offsets = array("Q", range(0, size + 8, 8))
    if sys.byteorder == "little":
        offsets.byteswap()
    return offsets.tobytes()[:size]


@attrs.define(eq=False)
class Rig:
    """A ring over a pattern; one read of the source takes ``seconds``."""

    ring: Ring
    content: bytes
    digests: SlotDigests
    seconds: float = 1.0
    bad: dict[int, Sequence[tuple[int, int]]] = attrs.field(factory=dict)
    blocks_read: list[int] = attrs.field(factory=list)
    opened: int = 0

    def open(self, turn_from: int | None = None) -> AnyReader:
        """Open the image, or a carousel that begins at byte ``turn_from``."""
        self.opened += 1
        return open_reader(self.ring, self.opened, 0, "test", turn_from)

    def turned(self, start: int) -> bytes:
        """Return the content as a carousel that begins at byte ``start`` has it."""
        return self.content[start:] + self.content[:start]

    async def produce(self) -> None:
        ring = self.ring
        while True:
            read = await ring.next_read()
            await trio.sleep(self.seconds)
            for block, slot in zip(read.blocks, read.slots, strict=True):
                at = ring.layout.image_block(block) * ring.block
                piece = self.content[at : at + ring.block]
                ring.memory.slot(slot)[: len(piece)] = piece
            self.blocks_read += read.blocks
            ring.filled(read, {block: self.bad[block] for block in read.blocks if block in self.bad})


@asynccontextmanager
async def background(*tasks: Callable[[], Awaitable[object]]) -> AsyncIterator[trio.Nursery]:
    """Run tasks until the block ends, and cancel them then."""
    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(task)
        yield nursery
        nursery.cancel_scope.cancel()


async def timed(waiting: Awaitable[T]) -> tuple[T, float]:
    """Return a result, and how many seconds it took."""
    begun = trio.current_time()
    result = await waiting
    return result, trio.current_time() - begun


async def read_all(consumer: AnyReader, piece: int) -> bytes:
    """Read a file to its end in pieces of ``piece`` bytes, and close it."""
    got = bytearray()
    while found := await read(consumer, len(got), piece):
        got += found
        await trio.lowlevel.checkpoint()
    consumer.close()
    return bytes(got)


async def read(consumer: AnyReader, offset: int, size: int) -> Buffer:
    """Read as the file system does: cut off at the end, without waiting if possible."""
    size = min(size, consumer.size - offset)
    if size <= 0:
        return b""
    found = consumer.read_nowait(offset, size)
    return await consumer.read(offset, size) if found is None else found


async def wrong_at_once(consumer: AnyReader, expected: bytes, chance: Random) -> list[tuple[int, int]]:
    """Read pieces (offset, size), many at once; return those that differ from what is expected."""
    wrong = []

    async def one(offset: int, size: int) -> None:
        if bytes(await read(consumer, offset, size)) != expected[offset : offset + size]:
            wrong.append((offset, size))

    for _ in range(40):
        async with trio.open_nursery() as readers:
            for _ in range(8):
                readers.start_soon(one, chance.randrange(SIZE + 9), chance.randrange(9 * PAGE))
    return wrong


async def fails(error: type[Exception], consumer: AnyReader, offset: int, size: int = PAGE) -> None:
    """Read, which must raise an error."""
    with pytest.raises(error):
        await read(consumer, offset, size)


def make_rig(
    size: int = 40 * PAGE,
    slots: int = 8,
    *,
    run: int = 2,
    data: Sequence[range] | None = None,
    **changes: float,
) -> Rig:
    """Return a rig with blocks of one page; ``data``: the blocks that are no holes, None: all."""
    content = bytearray(pattern(size))
    layout = Layout.of(
        size, PAGE, None if data is None else [(part.start * PAGE, len(part) * PAGE) for part in data]
    )
    for offset, length in layout.zeros():
        content[offset : offset + length] = bytes(length)
    rules = Rules(
        blocks=layout.blocks,
        slots=slots,
        run=run,
        patience=changes.get("patience", 10.0),
        turn=changes.get("turn", 2.0),
    )
    ring = Ring(
        size=layout.read_size,
        block=PAGE,
        rules=rules,
        memory=Memory(slots, PAGE),
        layout=layout,
        clock=trio.current_time,
    )
    digests = SlotDigests(ring.memory)
    ring.observers.add(digests)
    return Rig(ring, bytes(content), digests, changes.get("seconds", 1.0))
