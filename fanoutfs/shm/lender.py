"""The producer's side of one consumer in another process: blocks are granted to it, and freed by it.

Blocks are given to it as soon as they come, with a ticket each and a post of *filled*: ``_give_nowait`` is
called by the ring when it was filled, and when something was freed. Three tasks do the waiting. ``_ask``
waits for the next block when the consumer has nothing in hand and that block is not there, which is an ask
like any reader's, so that the rules know of it; and for digests. ``_take`` waits for *freed*, and moves the
consumer on. ``_watch`` looks whether it is dormant. (Were the giving a task's, too, to wake it each time
would take more than half of the engine's processor time with eight consumers.)

Who holds granted blocks for ``patience`` seconds and frees none (it was stopped, or its target hangs) is
dormant by the rules, and then its *term* ends: what it has in hand is taken back, so that it holds nobody.
``sheet.py`` says why its copy is right all the same. When it goes on, it asks for a new term from the block
where it really is.

Invariants: ``freed <= granted <= freed + window``; the blocks from ``freed`` to ``granted`` are granted by
the rules, and the tickets on the sheet are those of these blocks; after ``close`` nothing is granted.
"""

import contextlib
import os
from collections.abc import Callable, Container

import attrs
import trio

from fanoutfs.digests.digest import DIGEST_SIZE
from fanoutfs.digests.slot_cache import DigestSource
from fanoutfs.ring.cursor import Cursor
from fanoutfs.ring.decision import Read
from fanoutfs.ring.observer import Observer
from fanoutfs.ring.ring import Ring
from fanoutfs.shm.grant_table import GrantTable
from fanoutfs.shm.turn import Turn

_NO_DIGEST = bytes(DIGEST_SIZE)

_LEAST_WAIT = 0.01
"""Seconds; a dormant one that just was not, by a rounding, is looked at again so much later."""


@attrs.define(eq=False, kw_only=True)
class Lender(Observer):
    """One consumer that copies out of the ring itself; blocks are unrolled from ``start`` to once round.

    Made with nothing left behind when it can't be (OSError: this process has too many descriptors).
    """

    ring: Ring
    id: int
    pid: int
    command: str
    target: str
    turn: Turn
    """As it was when the consumer joined; just begun, unless the consumer had a producer before."""
    tickets: int
    """Most blocks that it may have in hand."""
    window: Callable[[int], int]
    """Gives how many it may have in hand now that it has so many."""
    digests: DigestSource | None = None
    """Where the digests come from, if it verifies."""
    sheet: GrantTable = attrs.field(init=False)
    filled_fd: int = attrs.field(init=False)
    """The eventfd that is posted for each block that it may copy."""
    freed_fd: int = attrs.field(init=False)
    """The one that it posts for each that it has copied."""
    point: Cursor = attrs.field(init=False)
    delivered: int = attrs.field(default=0, init=False)
    """Bytes that it has copied, those copied again included."""
    kind: str = attrs.field(default="copy", init=False)
    _term_began: int = attrs.field(init=False)
    _granted: int = attrs.field(init=False)
    _freed: int = attrs.field(init=False)
    _fresh: bool = attrs.field(default=True, init=False)
    _revoked: bool = attrs.field(default=False, init=False)
    _asks: bool = attrs.field(default=False, init=False)
    """It has nothing in hand, and waits for its next block."""
    _stirred: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK | os.EFD_SEMAPHORE
        with contextlib.ExitStack() as undo:
            self.sheet = GrantTable.make(self.tickets)
            undo.callback(self.sheet.close)
            self.filled_fd = os.eventfd(0, flags)
            undo.callback(os.close, self.filled_fd)
            self.freed_fd = os.eventfd(0, flags)
            undo.pop_all()
        self.point = self.ring.open(self.id, self.turn.start * self.ring.block)
        self._begin(self.turn.next)

    # What the status shows

    @property
    def start(self) -> int:
        """The byte of the image at which it began."""
        return self.turn.start * self.ring.block

    @property
    def position(self) -> int:
        """Where on the image the first byte lies that it has not copied."""
        return self._freed % self.ring.rules.blocks * self.ring.block

    @property
    def left(self) -> int:
        """Bytes that it still has to copy."""
        return self._bytes(range(self._freed, self.point.end))

    @property
    def sequential(self) -> bool:
        """It goes straight on."""
        return True

    # Serving

    async def run(self) -> None:
        """Grant it blocks until it is cancelled; raises what ends its wait: SourceBrokeError and the like.

        Cancelled: what it had in hand stays granted until ``close``.
        """
        with self.ring.observed_by(self):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._ask)
                nursery.start_soon(self._take)
                nursery.start_soon(self._watch)

    def filled(self, read: Read, bad: Container[int]) -> None:  # noqa: ARG002 (whatever came, all is looked at)
        """Grant the blocks that have come, if they can be granted at once."""
        self._give_nowait()

    def resume(self, block: int) -> None:
        """Begin a new term at an unrolled block; the consumer has none in hand, and waits for the answer."""
        if not self._revoked or not self.turn.start <= block <= self.point.end:
            raise ValueError(f"it can't go on at block {block}")
        _drain(self.freed_fd, self.tickets)
        _drain(self.filled_fd, self.tickets)
        self._begin(block)

    def close(self) -> None:
        """Let go of all that it held; leave the ring."""
        self.ring.revoke(range(self._freed, self._granted))
        self.ring.close(self.point)
        self.sheet.close()
        os.close(self.filled_fd)
        os.close(self.freed_fd)

    def _begin(self, block: int) -> None:
        self._term_began = self._granted = self._freed = block
        self._revoked = False
        self._fresh = True
        self.ring.place_at(self.point, block)
        self._stirred.set()

    def _end_term(self) -> None:
        """Take back what it has in hand; the term changes first."""
        self.sheet.next_term()
        self.ring.revoke(range(self._freed, self._granted))
        self._granted = self._freed
        self._revoked = True
        # It may have freed all that it had in this very moment, and wait: it has to see that it is over.
        os.eventfd_write(self.filled_fd, 1)

    def _room(self) -> int:
        """Say how many blocks may be granted to it now."""
        if self._revoked or self._granted == self.point.end:
            return 0
        in_hand = self._granted - self._freed
        return self.window(in_hand) - in_hand

    def _give_nowait(self) -> None:
        """Give it what is there; to wait for its next block, or for digests, is for ``_ask``."""
        if self._asks or (room := self._room()) <= 0:
            return
        slots = [] if self.digests is not None else self.ring.grant_nowait(self.point, self._granted, room)
        if slots:
            self._hand_out(slots, [_NO_DIGEST] * len(slots))
        elif self._granted == self._freed or self.digests is not None:
            self._stirred.set()

    async def _ask(self) -> None:
        """Wait for the blocks that can't be given at once."""
        while True:
            self._stirred = trio.Event()
            slots: list[int] = []
            if (room := self._room()) > 0:
                if self._granted == self._freed:
                    self._asks = True
                    try:
                        slots = await self.ring.grant(self.point, self._granted, room, fresh=self._fresh)
                    finally:
                        self._asks = False
                elif self.digests is not None:
                    slots = self.ring.grant_nowait(self.point, self._granted, room)
            if not slots:
                await self._stirred.wait()
            elif self.digests is None:
                self._hand_out(slots, [_NO_DIGEST] * len(slots))
            else:
                await self._hand_out_verified(slots, self.digests)

    async def _hand_out_verified(self, slots: list[int], digests: DigestSource) -> None:
        """Hand out blocks that were just granted, once they have been digested."""
        first, term = self._granted, self.sheet.term
        # They are in its hand from the grant on, so that a term that ends meanwhile takes them back.
        self._granted += len(slots)
        blocks = range(first, self._granted)
        real = [block % self.ring.rules.blocks for block in blocks]
        found = await digests.of(real, slots, [self._bytes(range(block, block + 1)) for block in blocks])
        if self.sheet.term == term:
            self._granted = first
            self._hand_out(slots, found)

    def _hand_out(self, slots: list[int], digests: list[bytes]) -> None:
        """Write the tickets of blocks that are granted, and post them."""
        number = self._granted - self._term_began
        self._granted += len(slots)
        self._fresh = False
        for slot, digest in zip(slots, digests, strict=True):
            self.sheet.write(number, slot, digest)
            number += 1
        os.eventfd_write(self.filled_fd, len(slots))

    async def _take(self) -> None:
        """Take back what it has freed."""
        while True:
            await trio.lowlevel.wait_readable(self.freed_fd)
            count = _drain(self.freed_fd, self.tickets)
            if self._revoked:
                # What it freed when its term was over counts for nothing.
                continue
            if count > self._granted - self._freed:
                raise ValueError("it has freed more blocks than it had")
            blocks = range(self._freed, self._freed + count)
            self._freed += count
            self.delivered += self._bytes(blocks)
            self.ring.release(self.point, blocks)
            self._give_nowait()

    async def _watch(self) -> None:
        """End its term when it has become dormant with blocks in hand."""
        while True:
            await trio.sleep(self._patience())
            if self._granted > self._freed and self.ring.rules.dormant(self.point, self.ring.clock()):
                self._end_term()

    def _patience(self) -> float:
        """Give the seconds after which it may have become dormant."""
        rules = self.ring.rules
        if self._granted == self._freed:
            return rules.patience
        return max(_LEAST_WAIT, self.point.taken_at + rules.patience - self.ring.clock())

    def _bytes(self, blocks: range) -> int:
        """Count the image's bytes in unrolled blocks; the last one of the image may be shorter."""
        ring = self.ring
        count = len(blocks) * ring.block
        last = blocks.start + (ring.rules.blocks - 1 - blocks.start) % ring.rules.blocks
        return count - (ring.rules.blocks * ring.block - ring.size if last in blocks else 0)


def _drain(semaphore: int, tickets: int) -> int:
    """Take what is posted, one by one as a semaphore wants it; gives how many there were.

    Raises ValueError when there are more than there ever were tickets: the consumer has gone mad.
    """
    # One more may have been posted to tell it that its term is over.
    for count in range(tickets + 2):
        try:
            os.eventfd_read(semaphore)
        except BlockingIOError:
            return count
    raise ValueError("it has posted more blocks than it had")
