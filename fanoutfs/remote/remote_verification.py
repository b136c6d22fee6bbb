"""The digests that copies verify against when the source is on another computer.

These are the digests made there (``remote_digests.py``), for all blocks read since the first copy verifies:
the stream is opened for that copy, before a block is granted to it. Blocks that were in the ring by then may
have no digest there, because nothing had requested one; they are compared with what is in the ring here.
"""

from collections.abc import Container, Sequence

import attrs
import trio

from fanoutfs.digests.slot_cache import SlotDigests
from fanoutfs.remote.remote_info import RemoteDigestStream
from fanoutfs.ring.decision import Read
from fanoutfs.ring.observer import Observer
from fanoutfs.ring.ring import Ring


@attrs.define(eq=False)
class _EndOfRead(Observer):
    event: trio.Event = attrs.field(factory=trio.Event, init=False)

    def filled(self, read: Read, bad: Container[int]) -> None:  # noqa: ARG002 (whichever it was, it has ended)
        self.event.set()


@attrs.define(eq=False)
class RemoteVerification:
    """The digests of one engine's remote source; the stream is opened for the first copy that verifies."""

    _stream: RemoteDigestStream
    _ring: Ring
    _slots: SlotDigests
    _wanted: trio.Event = attrs.field(factory=trio.Event, init=False)
    _before: frozenset[int] | None = attrs.field(default=None, init=False)
    """The blocks that were in the ring here before the stream was open."""

    async def run(self) -> None:
        """Run the stream, from when the first copy verifies until cancelled."""
        await self._wanted.wait()
        await self._stream.run()

    async def ready(self) -> None:
        """See ``DigestSource``: wait until the stream is open."""
        self._wanted.set()
        await self._stream.ready()
        if self._before is None and self._ring.arrivals.is_reading:
            await self._end_of_read(self._ring)
        if self._before is None:
            self._before = frozenset(self._ring.rules.residency.slot_of)

    async def _end_of_read(self, ring: Ring) -> None:
        """Wait until the read under way has ended: it may have begun before the stream was open."""
        end = _EndOfRead()
        with ring.observers.including(end):
            await end.event.wait()

    async def of(self, blocks: Sequence[int], slots: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
        """See ``DigestSource``."""
        assert self._before is not None
        found: list[bytes] = []
        for block, slot, length in zip(blocks, slots, lengths, strict=True):
            if block in self._before:
                found += await self._slots.of([block], [slot], [length])
            else:
                number = self._ring.layout.image_block(block)
                found += await self._stream.of([number], [slot], [length])
        return found
