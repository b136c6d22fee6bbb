"""Records the digest of every block that comes into the ring, for followers on other computers.

A follower must get the digest of each block that it reads from here after it has joined: of the blocks that
are resident then, and of all that are read later. So no block may leave unrecorded. Blocks are hashed in a
worker thread, in the order in which they were read. Before the producer overwrites a slot, it waits for
``before_overwrite``, which hashes what was in the slot if that has not been done, and waits for a thread
that is hashing it. Therefore no consumer has to hold a block for the recorder, the rules do not know it,
and a source that is faster than hashing is read at the speed of hashing.

Without followers nothing is hashed, and the recorded digests stay. The first follower causes all resident
blocks to be hashed; digests that ``SlotDigests`` still has are not made again. After the last follower has
left, recording continues for a while: a follower whose connection broke comes back, and must not have missed
a block.

Invariants: while it records, a resident good block is in ``_lacking``, or its slot is in flight, or its
digest is in the table. A slot is never both in ``_lacking`` and in flight: a follower that joins while a slot
is being hashed gets that digest, and the slots passed to ``before_overwrite`` are lent to a read, so that no
block is resident in them.
"""

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager

import attrs
import trio

from fanoutfs.digests.digest_source import DigestSource
from fanoutfs.digests.digest_table import DigestTable, Entered
from fanoutfs.digests.in_flight import InFlight
from fanoutfs.ring.decision import Read
from fanoutfs.ring.observer import Observer
from fanoutfs.ring.ring import Ring
from fanoutfs.units import MIB

LINGER_SECONDS = 60.0
"""How long recording continues after the last follower has left."""

BATCH = 8 * MIB
"""Bytes hashed at a time: some milliseconds, so that a follower soon learns of new blocks."""


@attrs.define(eq=False)
class Recorder(Observer):
    """The digests of the image's blocks as they pass through a ring."""

    ring: Ring
    digests: DigestSource
    """Of what is in the ring's slots."""
    changed: Callable[[int], None]
    """Called with each block of the image whose digest differs from the one recorded before: the source has
    changed."""
    batch: int = BATCH
    """Bytes."""
    linger: float = LINGER_SECONDS
    followers: int = attrs.field(default=0, init=False)
    table: DigestTable | None = attrs.field(default=None, init=False)
    """By the image's blocks. Made for the first follower, then kept."""
    _recording: bool = attrs.field(default=False, init=False)
    _followed_at: float = attrs.field(default=0.0, init=False)
    """When the last follower left, by the ring's clock."""
    _lacking: dict[int, int] = attrs.field(factory=dict, init=False)
    """The blocks still to be hashed, by slot, in the order in which they were read."""
    _in_flight: InFlight = attrs.field(factory=InFlight, init=False)
    _work: trio.Event = attrs.field(factory=trio.Event, init=False)
    _news: trio.Event = attrs.field(factory=trio.Event, init=False)

    @contextmanager
    def follow(self) -> Iterator[DigestTable]:
        """Record all resident blocks, and all that are read while the ``with`` block runs."""
        if self.table is None:
            self.table = DigestTable(self.ring.layout.image_blocks)
        if not self._is_recording():
            self._begin()
        self.followers += 1
        try:
            yield self.table
        finally:
            self.followers -= 1
            self._followed_at = self.ring.clock()

    async def news(self) -> None:
        """Wait until the table has a new entry. Safe to cancel."""
        await self._news.wait()

    async def run(self) -> None:
        """Observe the ring and hash what lacks a digest until cancelled; waits for a thread that hashes."""
        with self.ring.observers.including(self):
            while True:
                while self._is_recording() and self._lacking:
                    await self._record(self._batch())
                self._work = trio.Event()
                await self._work.wait()

    def filled(self, read: Read, bad: Container[int]) -> None:
        """Record bad blocks, and queue good ones for hashing."""
        if not self._is_recording():
            return
        for block, slot in zip(read.blocks, read.slots, strict=True):
            self._enter_resident(block, slot, bad=block in bad)

    async def before_overwrite(self, slots: tuple[int, ...]) -> None:
        """Return once what was in these slots is recorded.

        A checkpoint only when it has to hash or wait. Shielded from cancellation: hashing takes some
        milliseconds.
        """
        batch = {slot: self._lacking.pop(slot) for slot in slots if slot in self._lacking}
        with trio.CancelScope(shield=True):
            if batch:
                await self._record(batch)
            await self._in_flight.wait(slots)

    def _is_recording(self) -> bool:
        """Return whether it is recording; stop recording ``linger`` seconds after the last follower left."""
        if self._recording and not self.followers:
            self._recording = self.ring.clock() < self._followed_at + self.linger
            if not self._recording:
                self._lacking.clear()
        return self._recording

    def _begin(self) -> None:
        self._recording = True
        for block, slot in self.ring.rules.residency.slot_of.items():
            if slot not in self._in_flight.slots:
                self._enter_resident(block, slot, bad=self.ring.bad_blocks.is_bad(block))

    def _enter_resident(self, block: int, slot: int, *, bad: bool) -> None:
        if bad:
            self._enter(block, None)
        else:
            self._lacking[slot] = block
            self._work.set()

    def _batch(self) -> dict[int, int]:
        """Remove and return the first blocks that lack a digest."""
        count = min(len(self._lacking), max(1, self.batch // self.ring.block))
        slots = [slot for slot, _ in zip(self._lacking, range(count), strict=False)]
        return {slot: self._lacking.pop(slot) for slot in slots}

    async def _record(self, batch: dict[int, int]) -> None:
        blocks, slots = list(batch.values()), list(batch)
        with self._in_flight.batch(slots):
            digests = await self.digests.of(blocks, slots, [self._length(block) for block in blocks])
        for block, digest in zip(blocks, digests, strict=True):
            # It would be empty only if the slot had been overwritten.
            assert digest
            self._enter(block, digest)

    def _enter(self, block: int, digest: bytes | None) -> None:
        assert self.table is not None
        number = self.ring.layout.image_block(block)
        entered = self.table.enter(number, digest)
        if entered is Entered.NOTHING:
            return
        if entered is Entered.CHANGED:
            self.changed(number)
        news, self._news = self._news, trio.Event()
        news.set()

    def _length(self, block: int) -> int:
        return min(self.ring.block, self.ring.size - block * self.ring.block)
