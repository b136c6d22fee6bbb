"""Consumers that copy out of a rig's ring themselves: the real lender and the real borrower, in one process.

Only the socket between them is left out: a ``Wire`` handles the messages at once, as the control server does.
"""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from fanoutfs.control.client import ControlConnection
from fanoutfs.control.messages import Message
from fanoutfs.shm.borrower import Borrower
from fanoutfs.shm.lender import Lender
from fanoutfs.shm.turn import Turn
from tests.tasks.rig import Rig, background

WINDOW = 4


def lend(
    rig: Rig, start: int = 0, *, window: int = WINDOW, digests: bool = False, from_block: int | None = None
) -> Lender:
    """Return a lender for a turn that begins at block ``start``; ``from_block``: where it continues."""
    rig.opened += 1
    return Lender(
        ring=rig.ring,
        id=rig.opened,
        pid=0,
        command="test",
        target=f"target {rig.opened}",
        turn=Turn(start, start if from_block is None else from_block),
        capacity=window,
        window=lambda _: window,
        digests=rig.digests if digests else None,
    )


@attrs.define(eq=False)
class Wire(ControlConnection):
    """A connection that takes no time, with the lender at its other end."""

    lender: Lender = attrs.field(kw_only=True)
    _other: socket.socket = attrs.field(kw_only=True)
    """Open as long as this connection: otherwise it would count as closed by the peer."""

    @classmethod
    def between(cls, lender: Lender) -> "Wire":
        mine, other = socket.socketpair()
        return cls(mine, lender=lender, other=other)

    def request(self, kind: str, timeout: float | None = None, **message: Any) -> Message:  # noqa: ARG002
        lender = self.lender
        if kind == "resume":
            lender.resume(message["block"])
            return {"type": "resumed", "epoch": lender.grant_table.epoch}
        ring = lender.ring
        fds = (ring.memory.fd, lender.grant_table.fd, *lender.handed)
        self._fds = [os.dup(fd) for fd in fds]
        return {
            "type": "welcome",
            "id": lender.id,
            "identity": "pattern",
            "origin": None,
            "size": ring.layout.size,
            "block": ring.block,
            "layout": ring.layout.as_plain(),
            "once": False,
            "slots": ring.rules.slots,
            "grants": lender.capacity,
            "start": lender.turn.start,
            "epoch": lender.grant_table.epoch,
        }

    def close(self) -> None:
        super().close()
        self._other.close()


def borrow(lender: Lender, *, from_block: int | None = None) -> Borrower:
    """Return the borrower of a lender."""
    turn = None if from_block is None else Turn(lender.turn.start, from_block)
    return Borrower.join(Wire.between(lender), lender.target, digests=False, turn=turn)


@attrs.define(eq=False)
class Copy:
    """A copy into memory, as far as it has come."""

    borrower: Borrower
    places: list[int] = attrs.field(factory=list)
    """The unrolled blocks, in the order in which they were copied."""
    digests: list[bytes] = attrs.field(factory=list)
    """Their digests."""
    lost: int = 0
    """How many blocks were revoked before they were copied."""
    content: bytearray = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.content = bytearray(self.borrower.image.size)

    @property
    def done(self) -> bool:
        return self.borrower.turn.next >= self.borrower.end

    async def some(self, most: int, seconds: float = 0.0) -> bool:
        """Copy at most ``most`` blocks, once there is one; read their bytes after ``seconds``."""
        await trio.lowlevel.wait_readable(self.borrower._filled)
        count = self.borrower.wait(most, 0)
        if not count:
            return False
        begin = self.borrower.turn.next
        grants = self.borrower.grants(count)
        await trio.sleep(seconds)
        copied = [bytes(self.borrower.block(grant, begin + i)) for i, grant in enumerate(grants)]
        if not self.borrower.free(count):
            self.lost += count
            return False
        image = self.borrower.image
        for place, grant, block in zip(range(begin, begin + count), grants, copied, strict=True):
            self.places.append(place)
            self.digests.append(grant.digest)
            at = image.layout.image_block(place % image.blocks) * image.block
            self.content[at : at + len(block)] = block
        return True

    async def all(self, most: int, seconds: float = 0.0) -> None:
        """Copy all the rest."""
        while not self.done:
            await self.some(most, seconds)


@asynccontextmanager
async def copying(lender: Lender, *, from_block: int | None = None) -> AsyncIterator[Copy]:
    """Run a lender for a consumer; in the end close both."""
    made = Copy(borrow(lender, from_block=from_block))
    try:
        async with background(lender.run):
            yield made
    finally:
        made.borrower.close()
        lender.close()


def is_empty(rig: Rig) -> bool:
    """Return whether no reader is open, holds a block or waits for one."""
    rules = rig.ring.rules
    return not (rules.open_cursors or rules.granted or rig.ring.waiting() or rules.held(trio.current_time()))


def only(error: BaseException) -> BaseException:
    """Return the one error in a group of groups."""
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    return error
