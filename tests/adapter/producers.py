"""A producer with its control socket in this process; consumers are threads, and block as processes do."""

import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import trio
from trio.testing import wait_all_tasks_blocked

from fanoutfs.control.client import ControlConnection
from fanoutfs.engine.control_server import ControlServer, listen
from fanoutfs.engine.engine import Engine
from fanoutfs.layout import Only
from fanoutfs.ranges import Range
from fanoutfs.settings import Settings
from fanoutfs.shm.borrower import Borrower
from fanoutfs.shm.turn import Turn
from fanoutfs.units import PAGE
from tests.limits import HANG_SECONDS
from tests.scratched import Scratched

BLOCKS = 40
SIZE = (BLOCKS - 1) * PAGE + 123
"""The last of the blocks is short."""

CONTENT = b"".join(i.to_bytes(8, "big") for i in range(0, SIZE + 8, 8))[:SIZE]
"""Every 8 bytes are their own offset."""


@attrs.define(eq=False)
class Served:
    """A producer that accepts clients."""

    engine: Engine
    path: Path
    ended: trio.Event = attrs.field(factory=trio.Event)

    def connect(self) -> ControlConnection:
        return ControlConnection.to(self.path)

    def join(self, *, preferred_start: int | None = None, turn: Turn | None = None) -> Borrower:
        return Borrower.join(
            self.connect(), "target", digests=False, preferred_start=preferred_start, turn=turn
        )

    def copy(self) -> bytes:
        """Copy all, in pieces of three blocks."""
        borrower = self.join()
        content = copy_rest(borrower)
        borrower.close()
        return content

    def end(self) -> None:
        """End the producer, as a signal does; for threads."""
        nursery = self.engine._nursery
        assert nursery is not None
        trio.from_thread.run_sync(nursery.cancel_scope.cancel)
        wait_for(self.ended.is_set)

    def is_idle(self) -> bool:
        """Return whether nothing in the ring is granted or waited for, and no consumer is open."""
        ring = self.engine.ring
        known = (self.engine.lenders, ring.rules.open_cursors, ring.rules.granted, ring.waiting())
        return not any(known)

    async def becomes(self, condition: Callable[[], bool]) -> None:
        """Wait for what another thread, or the control server, brings about."""
        while not condition():  # noqa: ASYNC110 (it is brought about by other threads, who know no trio)
            await trio.sleep(0.002)

    async def rests(self) -> None:
        """Wait until the producer rests: the head stays where it is."""
        while True:
            await wait_all_tasks_blocked()
            if not self.engine.ring.arrivals.is_reading:
                return

    async def run(self) -> None:
        listener = listen(self.path)
        await self.engine.run(trio.sleep_forever, ControlServer(self.engine, [listener]).serve)
        self.ended.set()


@contextlib.asynccontextmanager
async def producer(
    *,
    slots: int = 8,
    kept: bool = True,
    bad: frozenset[int] = frozenset(),
    filled: Sequence[Range] | None = None,
    only: Only | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    """Replicate CONTENT in blocks of a page; ``kept``: until the end, though all consumers leave."""
    source = Scratched(CONTENT, bad, filled=filled)
    engine = Engine(Settings(block=PAGE, ring=slots * PAGE, **settings), source, only=only)
    with tempfile.TemporaryDirectory(prefix="fanoutfs-test-") as folder:
        served = Served(engine, Path(folder, "control.sock"))
        with trio.fail_after(HANG_SECONDS), engine.in_use() if kept else contextlib.nullcontext():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(served.run)
                await served.becomes(served.path.exists)
                yield served
                nursery.cancel_scope.cancel()
    assert served.is_idle()


def copy_rest(
    borrower: Borrower, content: bytearray | None = None, *, until: int | None = None, most: int = 3
) -> bytes:
    """Copy from its position to the end of its turn, or to before the unrolled block ``until``."""
    image = borrower.image
    content = content or bytearray(image.size)
    end = borrower.end if until is None else until
    while borrower.turn.next < end:
        count = borrower.wait(min(most, end - borrower.turn.next), HANG_SECONDS)
        place = borrower.turn.next
        grants = borrower.grants(count)
        copied = [bytes(borrower.block(grant, place + i)) for i, grant in enumerate(grants)]
        if count and borrower.free(count):
            for number, block in enumerate(copied, place):
                at = image.layout.image_block(number % image.blocks) * image.block
                content[at : at + len(block)] = block
    return bytes(content)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait, in a thread, until something holds."""
    until = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)


async def in_thread(function: Callable[..., Any], *arguments: object) -> Any:
    """Run a blocking call in a thread, which is abandoned when it takes too long."""
    return await trio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)
