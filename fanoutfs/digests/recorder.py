"""Records the digest of every block that comes into the ring, for followers on other computers.

A follower has to get the digest of each block that was read from here after it came: of those that are
resident then, and of all that come later. So nothing may leave unrecorded. Blocks are hashed in a worker
thread, in the order in which they came; and before a slot is written over the producer asks ``finish``, which
hashes what was in it if that was not done yet, and waits for a thread that is at it. Therefore no consumer
has to hold a block for it, the rules need not know, and a source that is faster than hashing is read as fast
as can be hashed.

Without followers nothing is hashed, and what was recorded stays: the first who comes makes all that is
resident to be hashed (what ``Digests`` still knows of these slots is not hashed again). When the last one has
gone recording goes on for a while: one whose connection broke comes back, and must have missed nothing.

Invariants: while it records, a resident good block is in ``_lacking``, or in ``_making``, or its digest is in
the table. A slot is never in both ``_lacking`` and ``_making``: a follower who joins while a slot is being
hashed gets that digest, and the slots that ``finish`` is asked for are lent to a read, and hold nothing
resident.
"""

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager

import attrs
import trio

from fanoutfs.digests.digest_table import DigestTable, Entered
from fanoutfs.ring.decision import Read
from fanoutfs.ring.ring import Ring
from fanoutfs.units import MIB

LINGER_SECONDS = 60.0
"""It is recorded for so long when nobody follows any more."""

BATCH = 8 * MIB
"""Bytes that are hashed in one go: some milliseconds, so that a follower hears soon of what came."""


@attrs.define(eq=False)
class Recorder:
    """The digests of a ring's image, as it goes by."""

    ring: Ring
    changed: Callable[[int], None]
    """Told of each block whose digest is another one than before: the source has changed under us."""
    batch: int = BATCH
    """Bytes."""
    linger: float = LINGER_SECONDS
    followers: int = attrs.field(default=0, init=False)
    table: DigestTable | None = attrs.field(default=None, init=False)
    """Made for the first follower, and kept."""
    _recording: bool = attrs.field(default=False, init=False)
    _followed_at: float = attrs.field(default=0.0, init=False)
    """When the last follower has left, by the ring's clock."""
    _lacking: dict[int, int] = attrs.field(factory=dict, init=False)
    """The blocks still to be hashed, by slot, in their order."""
    _making: dict[int, trio.Event] = attrs.field(factory=dict, init=False)
    """By slot, what is being hashed."""
    _work: trio.Event = attrs.field(factory=trio.Event, init=False)
    _news: trio.Event = attrs.field(factory=trio.Event, init=False)

    @contextmanager
    def follow(self) -> Iterator[DigestTable]:
        """Record while the block is run: of all that is resident now, and of all that comes."""
        if self.table is None:
            self.table = DigestTable(self.ring.rules.blocks)
        if not self._goes_on():
            self._begin()
        self.followers += 1
        try:
            yield self.table
        finally:
            self.followers -= 1
            self._followed_at = self.ring.clock()

    async def news(self) -> None:
        """Wait until something was entered; cancelled, nothing is left."""
        await self._news.wait()

    async def run(self) -> None:
        """Hash what lacks, until it is cancelled: a thread that hashes then is waited for."""
        assert self.ring.recorder is None
        self.ring.recorder = self
        try:
            while True:
                while self._goes_on() and self._lacking:
                    await self._record(self._batch())
                self._work = trio.Event()
                await self._work.wait()
        finally:
            self.ring.recorder = None

    # Called by the ring

    def filled(self, read: Read, bad: Container[int]) -> None:
        """Note what has come."""
        if not self._goes_on():
            return
        for block, slot in zip(read.blocks, read.slots, strict=True):
            self._enter_resident(block, slot, bad=block in bad)

    async def finish(self, slots: tuple[int, ...]) -> None:
        """Return when what was in these slots is recorded: they are to be written over.

        A checkpoint only when it has to hash or wait. Can't be cancelled: to hash them takes some
        milliseconds.
        """
        batch = {slot: self._lacking.pop(slot) for slot in slots if slot in self._lacking}
        with trio.CancelScope(shield=True):
            if batch:
                await self._record(batch)
            while making := [self._making[slot] for slot in slots if slot in self._making]:
                await making[0].wait()

    def _goes_on(self) -> bool:
        """Say whether it is recording; ends it when it is time."""
        if self._recording and not self.followers:
            self._recording = self.ring.clock() < self._followed_at + self.linger
            if not self._recording:
                self._lacking.clear()
        return self._recording

    def _begin(self) -> None:
        self._recording = True
        for block, slot in self.ring.rules.residency.slot_of.items():
            if slot not in self._making:
                self._enter_resident(block, slot, bad=self.ring.is_bad(block))

    def _enter_resident(self, block: int, slot: int, *, bad: bool) -> None:
        if bad:
            self._enter(block, None)
        else:
            self._lacking[slot] = block
            self._work.set()

    def _batch(self) -> dict[int, int]:
        """Take the first that lack."""
        count = min(len(self._lacking), max(1, self.batch // self.ring.block))
        slots = [slot for slot, _ in zip(self._lacking, range(count), strict=False)]
        return {slot: self._lacking.pop(slot) for slot in slots}

    async def _record(self, batch: dict[int, int]) -> None:
        assert self._making.keys().isdisjoint(batch)
        made = trio.Event()
        self._making.update(dict.fromkeys(batch, made))
        try:
            blocks, slots = list(batch.values()), list(batch)
            digests = await self.ring.digests.of(blocks, slots, [self._length(block) for block in blocks])
        finally:
            for slot in batch:
                del self._making[slot]
            made.set()
        for block, digest in zip(blocks, digests, strict=True):
            # It would be empty only if the slot had been written over.
            assert digest
            self._enter(block, digest)

    def _enter(self, block: int, digest: bytes | None) -> None:
        assert self.table is not None
        entered = self.table.enter(block, digest)
        if entered is Entered.NOTHING:
            return
        if entered is Entered.CHANGED:
            self.changed(block)
        news, self._news = self._news, trio.Event()
        news.set()

    def _length(self, block: int) -> int:
        return min(self.ring.block, self.ring.size - block * self.ring.block)
