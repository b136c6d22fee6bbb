"""The only place where tasks wait: readers for their blocks, the producer for work.

Every waiting method has the same shape: a ``_nowait`` step tries; if it fails, the task parks until the event
that it waits for wakes it. One trio thread runs all tasks, so the code between two checkpoints is atomic, and
there are no locks. ``docs/concurrency.md`` lists tasks, invariants and checkpoints.

The image as the ring knows it has no gaps: blocks and bytes are dense (``layout.py``).

In terms of counting semaphores, a free slot is a permit of the producer, a resident block a permit of each
consumer that needs it. ``Residency`` has the counts; the waiting is here.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import attrs
import trio

from fanoutfs.errors import (
    ClosingError,
    FanoutError,
    GoneError,
    ReaderGoneError,
    SourceBrokeError,
    SourceHungError,
)
from fanoutfs.layout import Layout
from fanoutfs.ring.cursor import Cursor, Request
from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.memory import Memory
from fanoutfs.ring.observer import Observer
from fanoutfs.ring.rules import Rules

MOST_NAMED = 5
"""How many bad places of a block a message names."""

Buffer = bytes | bytearray | memoryview


@attrs.define(eq=False)
class Waiting:
    """A parked request: what it waits for, the event that wakes it, and the error if it failed."""

    request: Request
    woken: trio.Event
    error: FanoutError | None = None


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
    reading_since: float | None = attrs.field(default=None, init=False)
    """When the read under way began, by ``clock``; None while no read is under way."""
    _arrived: int = attrs.field(default=0, init=False)
    _arrived_at: float = attrs.field(default=-math.inf, init=False)
    """When bytes of the source were last noticed to have come, by ``clock``."""
    _dry_since: float = attrs.field(default=-math.inf, init=False)
    """Since when blocks that have not come are held back."""
    _read_error: str = attrs.field(default="", init=False)
    """The reason of the last read error of the source."""
    _bad: dict[int, Sequence[tuple[int, int]]] = attrs.field(factory=dict, init=False)
    _zeros: dict[int, Sequence[tuple[int, int]]] = attrs.field(factory=dict, init=False)
    """What holds zeros in place of data, in resident blocks."""
    _hung: set[int] = attrs.field(factory=set, init=False)
    """Resident blocks to whose slots a read that hangs may still write."""
    _waiting: dict[int, list[Waiting]] = attrs.field(factory=dict, init=False)
    """The parked requests by the real block that they wait for."""
    _observers: tuple[Observer, ...] = attrs.field(default=(), init=False)
    _work: trio.Event = attrs.field(factory=trio.Event, init=False)
    _all_answered: trio.Event = attrs.field(factory=trio.Event, init=False)
    _closing: bool = attrs.field(default=False, init=False)

    @property
    def head(self) -> int:
        """Where the sweep reads next, in bytes of the image."""
        return self.layout.image_block(self.rules.head) * self.block

    @property
    def carousel_start(self) -> int:
        """Where a consumer's turn begins now: at the head, of a pipe at the beginning, in bytes."""
        return 0 if self.rules.intake.in_order else self.head

    @property
    def hung(self) -> int:
        """How many blocks have a read that hangs."""
        return len(self._hung)

    # Consumers

    def open(self, cursor_id: int, start: int | None = None) -> Cursor:
        """Register a consumer: in-order, or wrapping from byte ``start``, a multiple of the block's size."""
        self.first_opened.set()
        return self.rules.open(cursor_id, None if start is None else start // self.block)

    def close(self, cursor: Cursor) -> None:
        """Remove a consumer, which must hold no grant.

        Its requests that still wait fail with ReaderGoneError first.
        """
        for waiting in self.waiting():
            if waiting.request.cursor is cursor:
                self._give_up(waiting, ReaderGoneError("its file was closed"))
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
            self._look_again(cursor)

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
        found = self._read_nowait(place if place < self.size else place - self.size, size)
        cursor.fresh = cursor.fresh and found is None
        return found

    def _read_nowait(self, offset: int, size: int) -> Buffer | None:
        if offset + size > self.size:
            return None
        if self._bad and self._bad_in(offset, size):
            return None
        first, begin = divmod(offset, self.block)
        slot = self.rules.residency.slot_of.get(first)
        if slot is None:
            return None
        if begin + size <= self.block:
            start = slot * self.block + begin
            return self.memory.view[start : start + size]
        return self._span(first, slot, begin, size)

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
        for block in self._bad_in(offset, size):
            self._try_again(block)
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
                self._look_again(cursor)

    def _try_again(self, block: int) -> None:
        """Drop a block with bytes that could not be read before this request, if they can be read again."""
        if block not in self._hung and self.rules.can_be_read_again(block):
            self.rules.drop_bad(block)
            del self._bad[block]

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
        for unrolled in range(first, min(first + most, cursor.end)):
            block = unrolled % self.rules.blocks
            slot = self.rules.residency.slot_of.get(block)
            if slot is None or block in self._bad:
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
        if block in self._bad:
            self._try_again(block)
        request = self._request(cursor, first, first)
        try:
            await self._resident(request)
            if bad := self._bad.get(block):
                at = self.layout.image_block(block) * self.block
                places = ", ".join(f"{at + begin} to before {at + end}" for begin, end in bad[:MOST_NAMED])
                more = len(bad) - MOST_NAMED
                raise self._broke(places + (f", and {more} more of this block" if more > 0 else ""))
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
        while not self._is_resident(request) and request.at < request.cursor.end:
            if self.rules.is_out_of_reach(request):
                raise self._gone(request.at % self.rules.blocks)
            block, waiting = request.at % self.rules.blocks, Waiting(request, trio.Event())
            here = self._waiting.setdefault(block, [])
            here.append(waiting)
            self._work.set()
            try:
                await waiting.woken.wait()
            finally:
                here.remove(waiting)
                if not here:
                    del self._waiting[block]
                if not self._waiting:
                    self._all_answered.set()
            if waiting.error is not None:
                raise waiting.error

    def _look_again(self, cursor: Cursor) -> None:
        """Wake a consumer's parked requests: one may be out of reach by now."""
        for waiting in self.waiting():
            if waiting.request.cursor is cursor:
                waiting.woken.set()

    def _gone(self, block: int) -> GoneError:
        what = "has gone by" if self.rules.intake.is_gone(block) else "is too far ahead"
        return GoneError(
            f"the source is a pipe, and byte {block * self.block} of it {what}; start readers together, or "
            "keep what was read: --spool DIR"
        )

    def require_beginning(self) -> None:
        """Raise GoneError if a consumer that begins now could not have the whole image."""
        if self.rules.has_gone():
            raise GoneError(
                "the source is a pipe, and its beginning has gone by; start readers together, or keep what "
                "was read: --spool DIR"
            )

    def _is_resident(self, request: Request) -> bool:
        block = request.at % self.rules.blocks
        return block in self.rules.residency.slot_of and block not in self._hung

    def _span(self, first: int, slot: int, begin: int, size: int) -> Buffer | None:
        """Return bytes of several blocks: one view if the slots adjoin, else a joined copy."""
        slots = self.rules.residency.slot_of
        parts: list[memoryview] = []
        adjoining = True
        left = size - (self.block - begin)
        start = slot * self.block + begin
        parts.append(self.memory.view[start : (slot + 1) * self.block])
        block = first
        while left > 0:
            block += 1
            before, here = slot, slots.get(block)
            if here is None:
                return None
            slot = here
            adjoining = adjoining and slot == before + 1
            part = min(left, self.block)
            parts.append(self.memory.view[slot * self.block : slot * self.block + part])
            left -= part
        return self.memory.view[start : start + size] if adjoining else b"".join(parts)

    def _take(self, offset: int, size: int) -> Buffer | None:
        """Do as ``_read_nowait``, but raise SourceBrokeError if one of the bytes is bad."""
        if self._bad and (blocks := self._bad_in(offset, size)):
            begin, end = self.layout.offset(offset), self.layout.end(offset + size)
            place = f"{begin} to before {end}, in block {self.layout.image_block(blocks[0])}"
            raise self._broke(place)
        return self._read_nowait(offset, size)

    def is_bad(self, block: int) -> bool:
        """Return whether a resident block has bytes that could not be read."""
        return block in self._bad

    def zeros_in(self, block: int) -> Sequence[tuple[int, int]]:
        """Return the byte ranges of a resident block that hold zeros in place of data."""
        return self._zeros.get(block, ())

    def drop_zeros(self, block: int) -> bool:
        """Read a block again that holds zeros; return False if a consumer holds a grant for it."""
        if self.rules.granted[block]:
            return False
        if self._zeros.pop(block, None) is not None:
            self.rules.drop_bad(block)
            self._work.set()
        return True

    def _broke(self, place: str) -> SourceBrokeError:
        why = f": {self._read_error}" if self._read_error else ""
        return SourceBrokeError(f"the source can't be read from byte {place}{why}")

    def _bad_in(self, offset: int, size: int) -> list[int]:
        """Return the resident blocks that have bad bytes within this range."""
        found = []
        for block in range(offset // self.block, (offset + size - 1) // self.block + 1):
            begin = offset - block * self.block
            bad = self._bad.get(block, ())
            if any(begin < bad_end and bad_begin < begin + size for bad_begin, bad_end in bad):
                found.append(block)
        return found

    # The producer

    async def next_read(self) -> Read:
        """Wait for a decision to read; the slots are lent to the caller until ``filled``.

        Cancelled: no slot is lent.
        """
        while True:
            self._work = trio.Event()
            decision = self.rules.decide(self.clock())
            for places in (self._bad, self._zeros):
                for block in places.keys() - self.rules.residency.slot_of.keys():
                    del places[block]
            if isinstance(decision, Read):
                for observer in self._observers:
                    await observer.before_overwrite(decision.slots)
                self.reading_since = self.clock()
                return decision
            await self._rest(decision)

    async def _rest(self, rest: Rest) -> None:
        with trio.move_on_after(max(0.0, rest.until - self.clock())):
            await self._work.wait()

    def filled(
        self,
        read: Read,
        bad: Mapping[int, Sequence[tuple[int, int]]],
        error: str = "",
        count: int | None = None,
        zeros: Mapping[int, Sequence[tuple[int, int]]] | None = None,
    ) -> None:
        """Take back the slots of a finished read, of which the first ``count`` were filled (None: all).

        ``bad`` has per block the byte ranges in it that can't be read, ``zeros`` those that hold zeros in
        place of data; ``error`` is the reason, if known.
        """
        assert self.reading_since is not None
        if count is not None:
            self.rules.residency.take_back(read.slots[count:])
            read = read.shortened(count)
        self.rules.filled(read, self.clock() - self.reading_since)
        self.reading_since = None
        self._read_error = error or self._read_error
        self._bad.update(bad)
        self._zeros.update(zeros or {})
        for block in read.blocks:
            for waiting in self._waiting.get(block, ()):
                waiting.woken.set()
        for observer in self._observers:
            observer.filled(read, bad)

    # Pipes: what has not come yet, and an end that was not known

    def hold(self, block: int) -> None:
        """Read no block from this one on, because they have not come yet, until ``flow``."""
        self.rules.intake.dry_from = block
        self._dry_since = self.clock()

    def flow(self) -> None:
        """Record that more has come."""
        self.rules.intake.dry_from = None
        self._work.set()

    def go_in_order(self, kept: int, following: int) -> None:
        """Ask for each block once from now on, in order from ``following``, but for those before ``kept``."""
        self.rules.intake.go_in_order(kept, following)
        for waiting in self.waiting():
            waiting.woken.set()

    def shorten(self, size: int) -> None:
        """Let the image end at byte ``size``, more than 0; no consumer has got beyond that.

        Before ``filled`` for the read that has found the end. Copies that request what lies beyond get
        nothing more, or block 0 if they have begun in the middle.
        """
        self.size = size
        self.layout = Layout.whole(size, self.block)
        self.rules.shorten(self.layout.blocks)
        for waiting in self.waiting():
            if waiting.request.at >= self.rules.blocks:
                waiting.woken.set()
        for observer in self._observers:
            observer.shortened()

    def abandon(
        self,
        read: Read,
        done: int,
        hung: int,
        bad: Mapping[int, Sequence[tuple[int, int]]],
        zeros: Mapping[int, Sequence[tuple[int, int]]],
        error: str,
    ) -> range:
        """Take back the slots of a read that hangs, but those of ``hung`` blocks after the first ``done``.

        What hangs may still be written to those, so they stay with their blocks, which are bad, until
        ``came_back``. Return these blocks.
        """
        self.reading_since = self.clock()
        self.rules.residency.take_back(read.slots[done + hung :])
        read = read.shortened(done + hung)
        blocks = read.blocks[done:]
        whole = {block: [(0, self.block)] for block in blocks}
        self.rules.grant(blocks)
        self._hung.update(blocks)
        self.filled(read, {**bad, **whole}, error, None, zeros)
        return blocks

    def came_back(self, blocks: range) -> None:
        """Record that nothing is written to the slots of these hung blocks any more: they are read again."""
        self.rules.release(blocks)
        for block in blocks:
            self._hung.discard(block)
            self._bad.pop(block, None)
            self.rules.drop_bad(block)
        self._work.set()

    @contextmanager
    def observed_by(self, observer: Observer) -> Iterator[None]:
        """Let an observer follow the slots while the ``with`` block runs."""
        self.add_observer(observer)
        try:
            yield
        finally:
            self._observers = tuple(other for other in self._observers if other is not observer)

    def add_observer(self, observer: Observer) -> None:
        """Let an observer follow the slots for as long as the ring is used."""
        self._observers = (*self._observers, observer)

    # For the tasks that supervise waiting requests

    def waiting(self) -> list[Waiting]:
        """Return the parked requests."""
        return [waiting for here in self._waiting.values() for waiting in here]

    async def nobody_waits(self) -> None:
        """Wait until no request is parked; a checkpoint if one is. Safe to cancel."""
        while self._waiting:
            self._all_answered = trio.Event()
            await self._all_answered.wait()

    def reader_gone(self, waiting: Waiting) -> None:
        """Fail the request of a reader that has a fatal signal pending."""
        self._give_up(waiting, ReaderGoneError("the reader has a signal waiting"))

    def hangs(self, limit: float, arrived: int) -> bool:
        """Return whether a read is under way, and nothing has come for ``limit`` seconds; see below."""
        now = self.clock()
        if arrived != self._arrived:
            self._arrived, self._arrived_at = arrived, now
        return self.reading_since is not None and now - max(self.reading_since, self._arrived_at) >= limit

    def source_hangs(self, limit: float, arrived: int) -> None:
        """Fail the requests parked for ``limit`` seconds, if nothing has come from the source for as long.

        ``arrived``: how many bytes have come from the source so far. To be called often: a change is noticed
        here.
        """
        hangs, now = self.hangs(limit, arrived), self.clock()
        dry_from = self.rules.intake.dry_from
        if dry_from is None or now - max(self._dry_since, self._arrived_at) < limit:
            dry_from = self.rules.blocks
        for waiting in self.waiting():
            request = waiting.request
            block = request.at % self.rules.blocks
            if now - request.since >= limit and (hangs or block >= dry_from or block in self._hung):
                self._give_up(waiting, SourceHungError(f"the source has not answered for {limit:g} seconds"))

    def shut(self) -> None:
        """Fail all parked requests with ClosingError, and all later ones that would have to wait."""
        self._closing = True
        for waiting in self.waiting():
            self._give_up(waiting, ClosingError("the mount is being taken down"))

    def _give_up(self, waiting: Waiting, error: FanoutError) -> None:
        if not waiting.woken.is_set():
            waiting.error = error
            waiting.woken.set()
