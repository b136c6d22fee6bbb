"""The producer's end of a lease on the ring: grants blocks to one consumer in another process.

Blocks are granted as soon as they are in the ring: the ring calls ``_grant_nowait`` when a block was filled
or freed; it writes the grants and posts *filled* once per block. Three tasks do the waiting:

- ``_request`` waits for the next block when the consumer holds none and that block is not in the ring. It is
  a request like any reader's, so the ring's rules see it. It also waits for digests.
- ``_take`` waits for *freed*, and advances the consumer; ``tally.py`` explains the two.
- ``_watch`` checks whether the consumer is dormant.

(If a task did the granting, waking it each time would take more than half of the engine's processor time
with eight consumers.)

A consumer that holds granted blocks and frees none for ``patience`` seconds (it was stopped, or its target
hangs) is dormant by the rules, and its *epoch* ends: the blocks it holds are revoked, so that it blocks no
other reader. ``grant_table.py`` explains why its copy is right all the same. When the consumer continues, it
requests a new epoch at the block that it has reached.

Invariants: ``freed <= granted <= freed + window``; the rules have granted exactly the blocks from ``freed``
to ``granted``, and the table holds their grants; after ``close`` no block is granted.
"""

import contextlib
import os
from collections.abc import Callable, Container
from enum import Enum

import attrs
import trio

from fanoutfs.digests.digest import DIGEST_SIZE
from fanoutfs.digests.digest_source import DigestSource
from fanoutfs.ring.cursor import Cursor
from fanoutfs.ring.decision import Read
from fanoutfs.ring.observer import Observer
from fanoutfs.ring.ring import Ring
from fanoutfs.shm.grant_table import Grant, GrantTable
from fanoutfs.shm.tally import WAKE, mark_of, open_tally, post, take
from fanoutfs.shm.turn import Turn

_NO_DIGEST = bytes(DIGEST_SIZE)

MOST_FRUITLESS = 10
"""Epochs. A consumer that was stopped begins one when it continues; a copy then takes its blocks at once."""

_LEAST_WAIT = 0.01
"""Seconds until the next check of a consumer that a rounding error kept from being dormant."""


class Lease(Enum):
    """The states of a lease; TRANSITIONS has their order."""

    REVOKED = "no epoch is under way; the consumer has to begin one"
    GRANTING = "blocks are granted as soon as they are in the ring"
    REQUESTING = "the consumer holds no block, and a request for its next one waits in the ring"


TRANSITIONS = {
    Lease.REVOKED: {Lease.GRANTING},  # an epoch begins
    Lease.GRANTING: {Lease.REQUESTING, Lease.REVOKED},  # the next block is missing; the consumer is dormant
    Lease.REQUESTING: {Lease.GRANTING},  # the request was answered, or failed
}


@attrs.define(eq=False, kw_only=True)
class Lender(Observer):
    """One consumer that copies out of the ring itself; blocks are unrolled, from the turn's start on.

    Raises OSError when this process has too many descriptors; no resource is held then.
    """

    ring: Ring
    id: int
    pid: int
    command: str
    target: str
    turn: Turn
    """As it was when the consumer joined; at its start, unless the consumer had a producer before."""
    capacity: int
    """The most blocks that the consumer may hold."""
    window: Callable[[int], int]
    """Returns how many blocks the consumer may hold now, given how many it holds."""
    digests: DigestSource | None = None
    """The source of the digests, if the consumer verifies."""
    grant_table: GrantTable = attrs.field(init=False)
    handed: tuple[int, ...] = attrs.field(init=False)
    """The consumer's ends of *filled* and *freed*, until ``hand_over``."""
    _filled: int = attrs.field(init=False)
    """The end at which this side posts each granted block."""
    _freed_by: int = attrs.field(init=False)
    """The end at which this side takes each block that the consumer has copied."""
    cursor: Cursor = attrs.field(init=False)
    delivered: int = attrs.field(default=0, init=False)
    """Bytes copied, including those copied again."""
    kind: str = attrs.field(default="copy", init=False)
    _state: Lease = attrs.field(default=Lease.REVOKED, init=False)
    _epoch_began: int = attrs.field(init=False)
    _granted: int = attrs.field(init=False)
    _freed: int = attrs.field(init=False)
    _late: int = attrs.field(default=0, init=False)
    """How many blocks of the epoch that has ended the consumer may still report as copied."""
    _handed_out: bool = attrs.field(default=False, init=False)
    """A block was handed out in this epoch."""
    _fruitless: int = attrs.field(default=0, init=False)
    """How many epochs in a row have ended without a copied block."""
    _broken: str | None = attrs.field(default=None, init=False)
    """What the consumer did that ends ``run``."""
    _stirred: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when ``_request`` may have something to do."""

    def __attrs_post_init__(self) -> None:
        with contextlib.ExitStack() as undo:
            self.grant_table = GrantTable.create(self.capacity)
            self.grant_table.set_size(self.ring.layout.size)
            undo.callback(self.grant_table.close)
            filled, self._filled = open_tally()
            undo.callback(os.close, filled)
            undo.callback(os.close, self._filled)
            self._freed_by, freed = open_tally()
            undo.pop_all()
        self.handed = filled, freed
        self.cursor = self.ring.open(self.id, self.turn.start * self.ring.block)
        self._begin_epoch(self.turn.next)

    # What the status shows

    @property
    def start(self) -> int:
        """The byte of the image at which its turn began."""
        return self._offset(self.turn.start)

    @property
    def position(self) -> int:
        """The byte of the image that it copies next."""
        return self._offset(self._freed)

    def _offset(self, block: int) -> int:
        ring = self.ring
        return ring.layout.image_block(block % ring.rules.blocks) * ring.block

    @property
    def left(self) -> int:
        """Bytes that it still has to copy, without the holes."""
        return self._bytes(range(self._freed, self.cursor.end))

    @property
    def sequential(self) -> bool:
        """A copy reads the image in order."""
        return True

    # Serving

    async def run(self) -> None:
        """Grant blocks until cancelled. Raises the error that ends a wait: SourceBrokeError and the like.

        Cancelled: the blocks that the consumer holds stay granted until ``close``.
        """
        with self.ring.observers.including(self):
            # The end may have been found since this lease was made.
            self.shortened()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._request)
                nursery.start_soon(self._take)
                nursery.start_soon(self._watch)

    def filled(self, read: Read, bad: Container[int]) -> None:  # noqa: ARG002 (it looks at the whole ring)
        """Grant the blocks that have been read, if they can be granted at once."""
        self._grant_nowait()

    def shortened(self) -> None:
        """Tell the consumer where the image ends."""
        if self.grant_table.size == self.ring.layout.size:
            return
        self.grant_table.set_size(self.ring.layout.size)
        self._post(WAKE)

    def resume(self, block: int) -> None:
        """Begin a new epoch at an unrolled block; the consumer holds none, and waits for the reply."""
        if self._state is not Lease.REVOKED or not self.turn.start <= block <= self.cursor.end:
            raise ValueError(f"it can't resume at block {block}")
        self._take_late()
        self._begin_epoch(block)

    def hand_over(self) -> None:
        """Close the consumer's ends here, once it has been sent them: it may see this side close its own."""
        for end in self.handed:
            os.close(end)
        self.handed = ()

    def close(self) -> None:
        """Revoke what the consumer holds, and leave the ring."""
        self.ring.revoke(range(self._freed, self._granted))
        self.ring.close(self.cursor)
        self.grant_table.close()
        for end in (self._filled, self._freed_by, *self.handed):
            os.close(end)

    def _enter(self, state: Lease) -> None:
        assert state in TRANSITIONS[self._state], f"{self._state.name} to {state.name}"
        self._state = state

    def _begin_epoch(self, block: int) -> None:
        self._enter(Lease.GRANTING)
        self._epoch_began = self._granted = self._freed = block
        self._handed_out = False
        self.ring.place_at(self.cursor, block)
        self._stirred.set()

    def _end_epoch(self) -> None:
        """Revoke the blocks that the consumer holds; the epoch changes first."""
        self.grant_table.next_epoch()
        self.ring.revoke(range(self._freed, self._granted))
        self._late = self._granted - self._freed
        self._granted = self._freed
        self._enter(Lease.REVOKED)
        # The consumer may have freed its last block at this very moment, and wait: wake it.
        self._post(WAKE)

    def _room(self) -> int:
        """Return how many blocks may be granted now."""
        if self._state is Lease.REVOKED or self._granted == self.cursor.end:
            return 0
        in_hand = self._granted - self._freed
        return self.window(in_hand) - in_hand

    def _grant_nowait(self) -> None:
        """Grant the blocks that are in the ring; ``_request`` waits for the next block, and for digests."""
        if self._state is Lease.REQUESTING or (room := self._room()) <= 0:
            return
        slots = [] if self.digests is not None else self.ring.grant_nowait(self.cursor, self._granted, room)
        if slots:
            self._hand_out(slots, [_NO_DIGEST] * len(slots))
        elif self._granted == self._freed or self.digests is not None:
            self._stirred.set()

    async def _request(self) -> None:
        """Wait for the blocks that can't be granted at once."""
        while self._broken is None:
            self._stirred = trio.Event()
            slots: list[int] = []
            if (room := self._room()) > 0:
                if self._granted == self._freed:
                    slots = await self._request_next(room)
                elif self.digests is not None:
                    slots = self.ring.grant_nowait(self.cursor, self._granted, room)
            if not slots:
                await self._stirred.wait()
            elif self.digests is None:
                self._hand_out(slots, [_NO_DIGEST] * len(slots))
            else:
                await self._hand_out_verified(slots, self.digests)
        raise ValueError(self._broken)

    async def _request_next(self, room: int) -> list[int]:
        self._enter(Lease.REQUESTING)
        try:
            return await self.ring.grant(self.cursor, self._granted, room)
        finally:
            self._enter(Lease.GRANTING)

    async def _hand_out_verified(self, slots: list[int], digests: DigestSource) -> None:
        """Hand out blocks that were just granted, once they have been digested."""
        first, epoch = self._granted, self.grant_table.epoch
        # They count as held from here on, so that an epoch that ends meanwhile revokes them.
        self._granted += len(slots)
        blocks = range(first, self._granted)
        real = [block % self.ring.rules.blocks for block in blocks]
        found = await digests.of(real, slots, [self._bytes(range(block, block + 1)) for block in blocks])
        if self.grant_table.epoch == epoch:
            self._granted = first
            self._hand_out(slots, found)

    def _hand_out(self, slots: list[int], digests: list[bytes]) -> None:
        """Write the grants of blocks that the rules have granted, and post them."""
        first, ring = self._granted, self.ring
        self._granted += len(slots)
        for block, slot, digest in zip(range(first, self._granted), slots, digests, strict=True):
            has_zeros = bool(ring.bad_blocks.zeros_in(block % ring.rules.blocks))
            self.grant_table.write(block - self._epoch_began, Grant(slot, has_zeros, digest))
        self._handed_out = True
        self._post(mark_of(self.grant_table.epoch) * len(slots))

    def _post(self, marks: bytes) -> None:
        """Post to the consumer. Never raise: the producer's task grants, too, and serves all others."""
        if not post(self._filled, marks):
            self._broken = "it has filled the count of its granted blocks"
            self._stirred.set()

    async def _take(self) -> None:
        """Release the blocks that the consumer has freed; return when it has closed its end."""
        while True:
            await trio.lowlevel.wait_readable(self._freed_by)
            if self._state is Lease.REVOKED:
                # Blocks freed after the epoch has ended do not count.
                if not self._take_late():
                    return
                continue
            marks = take(self._freed_by, self.capacity + 1)
            if marks is None:
                # It may have left; as long as it stays, it is a consumer that copies nothing.
                return
            count = len(marks)
            if count > self._granted - self._freed:
                raise ValueError("it has freed more blocks than it held")
            self._fruitless = 0
            blocks = range(self._freed, self._freed + count)
            self._freed += count
            self.delivered += self._bytes(blocks)
            self.ring.release(self.cursor, blocks)
            self._grant_nowait()

    def _take_late(self) -> bool:
        """Drop what was freed after the epoch's end; return False when the consumer has closed its end."""
        marks = take(self._freed_by, self._late + 1)
        if marks is None:
            return False
        self._late -= len(marks)
        if self._late < 0:
            raise ValueError("it has freed more blocks than it held")
        return True

    async def _watch(self) -> None:
        """End the epoch when the consumer has become dormant while it holds blocks.

        Raise ValueError for one that does nothing but hold blocks: it would hold up the others each time.
        """
        while True:
            await trio.sleep(self._patience())
            if self._granted > self._freed and self.ring.rules.dormant(self.cursor, self.ring.clock()):
                self._end_epoch()
                self._fruitless += self._handed_out
                if self._fruitless >= MOST_FRUITLESS:
                    raise ValueError(f"it has copied nothing in {MOST_FRUITLESS} epochs in a row")

    def _patience(self) -> float:
        """Return the seconds after which the consumer may have become dormant."""
        rules = self.ring.rules
        if self._granted == self._freed:
            return rules.patience
        return max(_LEAST_WAIT, self.cursor.taken_at + rules.patience - self.ring.clock())

    def _bytes(self, blocks: range) -> int:
        """Return the bytes in unrolled blocks; the last block of the circle may be shorter."""
        ring = self.ring
        count = len(blocks) * ring.block
        last = blocks.start + (ring.rules.blocks - 1 - blocks.start) % ring.rules.blocks
        return count - (ring.rules.blocks * ring.block - ring.size if last in blocks else 0)
