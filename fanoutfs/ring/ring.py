"""The only place where tasks wait: readers for their blocks, the producer for work.

Every waiting method has the same shape: a ``_nowait`` step tries; if it fails, the task parks until the event
that it waits for wakes it. One trio thread runs all tasks, so the code between two checkpoints is atomic, and
there are no locks. ``docs/concurrency.md`` lists tasks, invariants and checkpoints.

The image as the ring knows it has no gaps: blocks and bytes are dense (``layout.py``).

In terms of counting semaphores, a free slot is a permit of the producer, a resident block a permit of each
consumer that needs it. ``Residency`` has the counts; the waiting is here.
"""

import time
from collections.abc import Callable

import attrs
import trio

from fanoutfs.errors import ClosingError, ReaderGoneError, SourceHungError
from fanoutfs.layout import Layout
from fanoutfs.ring.arrivals import Arrivals
from fanoutfs.ring.bad_blocks import NOWHERE, BadBlocks, Places
from fanoutfs.ring.cursor import Cursor, Request
from fanoutfs.ring.decision import Read
from fanoutfs.ring.memory import Memory
from fanoutfs.ring.observer import Observers
from fanoutfs.ring.parked import Parked, Waiting
from fanoutfs.ring.resident_bytes import Buffer, ResidentBytes
from fanoutfs.ring.rules import Rules


@attrs.define(eq=False, kw_only=True)
class Ring:
    """The slots, the rules, and the tasks that wait for blocks."""

    size: int
    """Bytes of the circle: dense ones, see ``layout.py``."""
    block: int
    rules: Rules
    memory: Memory
    layout: Layout = attrs.field(
        default=attrs.Factory(lambda self: Layout.whole(self.size, self.block), takes_self=True)
    )
    """Where these bytes are in the image; nothing in this package uses it but ``head``."""
    clock: Callable[[], float] = time.monotonic
    first_opened: trio.Event = attrs.field(factory=trio.Event, init=False)
    """Set when the first consumer has been registered."""
    bad_blocks: BadBlocks = attrs.field(init=False)
    arrivals: Arrivals = attrs.field(factory=Arrivals, init=False)
    observers: Observers = attrs.field(factory=Observers, init=False)
    _bytes: ResidentBytes = attrs.field(init=False)
    _parked: Parked = attrs.field(factory=Parked, init=False)
    _work: trio.Event = attrs.field(factory=trio.Event, init=False)
    _all_answered: trio.Event = attrs.field(factory=trio.Event, init=False)
    _closing: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.bad_blocks = BadBlocks(self.rules, self.block)
        self._bytes = ResidentBytes(self.memory, self.rules.residency, self.size)

    @property
    def head(self) -> int:
        """Where the sweep reads next, in bytes of the image."""
        return self.layout.image_block(self.rules.head) * self.block

    @property
    def carousel_start(self) -> int:
        """Where a consumer's turn begins now: at the head, of a pipe at the beginning, in bytes."""
        return 0 if self.rules.intake.in_order else self.head

    # Consumers

    def open(self, cursor_id: int, start: int | None = None) -> Cursor:
        """Register a consumer: in-order, or wrapping from byte ``start``, a multiple of the block's size."""
        self.first_opened.set()
        return self.rules.open(cursor_id, None if start is None else start // self.block)

    def close(self, cursor: Cursor) -> None:
        """Remove a consumer, which must hold no grant.

        Its requests that still wait fail with ReaderGoneError first.
        """
        for waiting in self._parked.of(cursor):
            waiting.give_up(ReaderGoneError("its file was closed"))
        for request in list(cursor.requests):
            self.rules.answered(request, self.clock())
        self.rules.close(cursor)
        self._work.set()

    def move(self, cursor: Cursor, place: int, *, sequential: bool) -> None:
        """Record where a consumer's next byte lies, and wake the producer if that may give it work.

        A *place* is an unrolled byte: a consumer that wraps round has places of ``size`` and more.
        """
        if self.rules.move(cursor, self._block_of(place), sequential=sequential, now=self.clock()):
            self._work.set()
        if self.rules.intake.in_order and not sequential:
            # A request may be out of reach by now.
            self._parked.wake_those_of(cursor)

    def _block_of(self, place: int) -> int:
        """Return the unrolled block in which a place lies."""
        if place < self.size:
            return place // self.block
        return self.rules.blocks + (place - self.size) // self.block

    def read_nowait(self, cursor: Cursor, place: int, size: int) -> Buffer | None:
        """Return the bytes at ``place`` if all their blocks are resident and no byte is bad, else None.

        None, too, if they cross the end of the image. The view is valid until the next checkpoint: the
        caller must copy it before that.
        """
        offset = place if place < self.size else place - self.size
        bad = self.bad_blocks
        found = None if bad.bad and bad.within(offset, size) else self._bytes.find(offset, size)
        cursor.fresh = cursor.fresh and found is None
        return found

    async def read(self, cursor: Cursor, place: int, size: int) -> Buffer:
        """Do as ``read_nowait``, but wait for absent blocks; a checkpoint only when it has to wait.

        The bytes must not cross the end of the image. Cancelled: the request is removed.
        Raises SourceBrokeError, SourceHungError, ReaderGoneError or ClosingError.
        """
        offset = place % self.size
        found = self.read_nowait(cursor, place, size)
        if found is not None:
            return found
        if self._closing:
            raise ClosingError("the mount is being taken down")
        for block in self.bad_blocks.within(offset, size):
            self.bad_blocks.try_again(block)
        first, last = self._block_of(place), self._block_of(place + size - 1)
        request = self._request(cursor, first, last)
        try:
            await self._resident(request)
            found = self._take(offset, size)
            if found is None:
                found = await self._gather(request, place, size)
            return found
        finally:
            if request in cursor.requests and self.rules.answered(request, self.clock()):
                self._work.set()
            if self.rules.intake.in_order:
                self._parked.wake_those_of(cursor)

    def _request(self, cursor: Cursor, first: int, last: int) -> Request:
        fresh, cursor.fresh = cursor.fresh, False
        return self.rules.request(cursor, first, last, self.clock(), fresh=fresh)

    async def _gather(self, request: Request, place: int, size: int) -> bytearray:
        """Copy block by block as they come, for a request whose blocks are never resident together."""
        gathered = bytearray(size)
        offset = place % self.size
        done = 0
        while done < size:
            before, at = request.at, self._block_of(place + done)
            if at != before:
                self.rules.advance(request, at)
                if request.cursor.block == before:
                    # The copied block is no longer needed, and must not block the consumers in front.
                    self.move(request.cursor, place + done, sequential=request.cursor.sequential)
            await self._resident(request)
            part = min(size - done, self.block - (offset + done) % self.block)
            found = self._take(offset + done, part)
            assert found is not None
            gathered[done : done + part] = found
            done += part
        return gathered

    # Grants, for consumers that copy blocks out of the ring themselves: unrolled blocks in, slots out

    def grant_nowait(self, cursor: Cursor, first: int, most: int) -> list[int]:
        """Grant the resident, good blocks from ``first`` on, ``most`` at most, and return their slots.

        They stay in their slots until ``release`` or ``revoke``.
        """
        slots: list[int] = []
        slot_of, bad = self.rules.residency.slot_of, self.bad_blocks.bad
        for unrolled in range(first, min(first + most, cursor.end)):
            block = unrolled % self.rules.blocks
            slot = slot_of.get(block)
            if slot is None or block in bad:
                break
            slots.append(slot)
        self.rules.grant(range(first, first + len(slots)))
        cursor.fresh = cursor.fresh and not slots
        return slots

    async def grant(self, cursor: Cursor, first: int, most: int) -> list[int]:
        """Do as ``grant_nowait``, but wait for at least one block; a checkpoint only when it has to wait.

        For a consumer that holds no grant: while it waits here, no other may be waiting for it. Cancelled:
        nothing is granted. Raises what ``read`` raises.
        """
        if slots := self.grant_nowait(cursor, first, most):
            return slots
        if self._closing:
            raise ClosingError("the producer is being ended")
        block = first % self.rules.blocks
        self.bad_blocks.try_again(block)
        request = self._request(cursor, first, first)
        try:
            await self._resident(request)
            self.bad_blocks.raise_if_bad(block, self.layout)
            return self.grant_nowait(cursor, first, most)
        finally:
            if self.rules.answered(request, self.clock()):
                self._work.set()

    def release(self, cursor: Cursor, blocks: range) -> None:
        """Take back granted blocks that the consumer has copied; they are the first of those it holds."""
        made_room = self.rules.release(blocks)
        if self.rules.move(cursor, blocks.stop, sequential=True, now=self.clock()) or made_room:
            self._work.set()

    def revoke(self, blocks: range) -> None:
        """Take back granted blocks that were not copied: their consumer has left, or is dormant.

        This may unblock any other consumer.
        """
        self.rules.release(blocks)
        self._work.set()

    def place_at(self, cursor: Cursor, block: int) -> None:
        """Move a consumer that holds no grant to an unrolled block, as a jump; it is live from now on."""
        cursor.fresh = True
        self.rules.move(cursor, block, sequential=True, now=self.clock())
        self._work.set()

    async def _resident(self, request: Request) -> None:
        """Wait until the block at ``request.at`` is resident; raise the error if it fails.

        Return, too, when the image has turned out to end before that block.
        """
        residency, hung = self.rules.residency, self.bad_blocks.hung
        while request.at < request.cursor.end:
            block = request.at % self.rules.blocks
            if block in residency.slot_of and block not in hung:
                return
            if self.rules.intake.is_out_of_reach(request, block, self.rules.slots):
                raise self.rules.intake.gone_error(block, self.block)
            waiting = self._parked.park(block, request)
            self._work.set()
            try:
                await waiting.woken.wait()
            finally:
                self._parked.leave(block, waiting)
                if not self._parked:
                    self._all_answered.set()
            if waiting.error is not None:
                raise waiting.error

    def _take(self, offset: int, size: int) -> Buffer | None:
        """Return bytes that are resident together, or None; raise SourceBrokeError if one of them is bad."""
        self.bad_blocks.raise_within(offset, size, self.layout)
        return self._bytes.find(offset, size)

    def drop_zeros(self, block: int) -> bool:
        """Read a block again that holds zeros; return False if a consumer holds a grant for it."""
        if self.rules.granted[block]:
            return False
        if self.bad_blocks.drop_zeros(block):
            self._work.set()
        return True

    # The producer

    async def next_read(self) -> Read:
        """Wait for a decision to read; the slots are lent to the caller until ``filled``.

        Cancelled: no slot is lent.
        """
        while True:
            self._work = trio.Event()
            decision = self.rules.decide(self.clock())
            self.bad_blocks.evicted()
            if isinstance(decision, Read):
                await self.observers.before_overwrite(decision.slots)
                self.arrivals.reading_since = self.clock()
                return decision
            with trio.move_on_after(max(0.0, decision.until - self.clock())):
                await self._work.wait()

    def filled(
        self,
        read: Read,
        bad: Places,
        error: str = "",
        count: int | None = None,
        zeros: Places = NOWHERE,
    ) -> None:
        """Take back the slots of a finished read, of which the first ``count`` were filled (None: all).

        ``bad`` has per block the byte ranges in it that can't be read, ``zeros`` those that hold zeros in
        place of data; ``error`` is the reason, if known.
        """
        assert self.arrivals.reading_since is not None
        if count is not None:
            self.rules.residency.take_back(read.slots[count:])
            read = read.shortened(count)
        self.rules.filled(read, self.clock() - self.arrivals.reading_since)
        self.arrivals.reading_since = None
        self.bad_blocks.filled(bad, zeros, error)
        self._parked.wake(read.blocks)
        self.observers.filled(read, bad)

    # Pipes: what has not come yet, and an end that was not known

    def hold(self, block: int) -> None:
        """Read no block from this one on, because they have not come yet, until ``flow``."""
        self.rules.intake.dry_from = block
        self.arrivals.dry_since = self.clock()

    def flow(self) -> None:
        """Record that more has come."""
        self.rules.intake.dry_from = None
        self._work.set()

    def go_in_order(self, kept: int, following: int) -> None:
        """Ask for each block once from now on, in order from ``following``, but for those before ``kept``."""
        self.rules.intake.go_in_order(kept, following)
        self._parked.wake_all()

    def shorten(self, size: int) -> None:
        """Shorten the image to ``size`` bytes, more than 0; no consumer has passed its new end.

        Before ``filled`` for the read that has found the end. Copies that request what lies beyond get
        nothing more, or block 0 if they have begun in the middle.
        """
        self.size = self._bytes.size = size
        self.layout = Layout.whole(size, self.block)
        self.rules.shorten(self.layout.blocks)
        for waiting in self.waiting():
            if waiting.request.at >= self.rules.blocks:
                waiting.woken.set()
        self.observers.shortened()

    def abandon(self, read: Read, done: int, hung: int, bad: Places, zeros: Places, error: str) -> range:
        """Take back the slots of a read that hangs, but those of ``hung`` blocks after the first ``done``.

        What hangs may still be written to those, so they stay with their blocks, which are bad, until
        ``came_back``. Return these blocks.
        """
        self.arrivals.reading_since = self.clock()
        self.rules.residency.take_back(read.slots[done + hung :])
        read = read.shortened(done + hung)
        blocks = read.blocks[done:]
        self.filled(read, {**bad, **self.bad_blocks.hang(blocks)}, error, None, zeros)
        return blocks

    def came_back(self, blocks: range) -> None:
        """Record that nothing is written to the slots of these hung blocks any more: they are read again."""
        self.bad_blocks.came_back(blocks)
        self._work.set()

    # For the tasks that supervise waiting requests

    def waiting(self) -> list[Waiting]:
        """Return the parked requests."""
        return self._parked.all()

    async def nobody_waits(self) -> None:
        """Wait until no request is parked; a checkpoint if one is. Safe to cancel."""
        while self._parked:
            self._all_answered = trio.Event()
            await self._all_answered.wait()

    def reader_gone(self, waiting: Waiting) -> None:
        """Fail the request of a reader that has a fatal signal pending."""
        waiting.give_up(ReaderGoneError("the reader has a signal waiting"))

    def hangs(self, limit: float, arrived: int) -> bool:
        """Return whether a read is under way, and nothing has come for ``limit`` seconds; see below."""
        now = self.clock()
        self.arrivals.look(arrived, now)
        return self.arrivals.read_is_silent(limit, now)

    def source_hangs(self, limit: float, arrived: int) -> None:
        """Fail the requests parked for ``limit`` seconds, if nothing has come from the source for as long.

        ``arrived``: how many bytes have come from the source so far. To be called often: a change is noticed
        here.
        """
        hangs, now = self.hangs(limit, arrived), self.clock()
        dry_from = self.rules.intake.dry_from
        if dry_from is None or not self.arrivals.is_dry(limit, now):
            dry_from = self.rules.blocks
        for waiting in self.waiting():
            request = waiting.request
            block = request.at % self.rules.blocks
            if now - request.since >= limit and (hangs or block >= dry_from or block in self.bad_blocks.hung):
                waiting.give_up(SourceHungError(f"the source has not answered for {limit:g} seconds"))

    def shut(self) -> None:
        """Fail all parked requests with ClosingError, and all later ones that would have to wait."""
        self._closing = True
        for waiting in self.waiting():
            waiting.give_up(ClosingError("the mount is being taken down"))
