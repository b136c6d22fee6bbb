"""What those here who verify hold their targets against, where the source is on another computer.

That is what went by there (``digests.py``), for all that was read since somebody has wanted to verify: the
stream of digests is opened for the first who does, before it is given a block. What was in the ring by then
may have no digest there any more, for nobody had asked for one; it is held against what is in the ring here.
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
    """The blocks that were here before they were wanted."""

    async def run(self) -> None:
        """Have them come, from when they are wanted, until it is cancelled."""
        await self._wanted.wait()
        await self._stream.run()

    async def ready(self) -> None:
        """See ``DigestSource``: waits until they come."""
        self._wanted.set()
        await self._stream.ready()
        if self._before is None and self._ring.reading_since is not None:
            await self._end_of_read(self._ring)
        if self._before is None:
            self._before = frozenset(self._ring.rules.residency.slot_of)

    async def _end_of_read(self, ring: Ring) -> None:
        """Wait until the read under way has ended: it may have begun before they were wanted."""
        end = _EndOfRead()
        with ring.observed_by(end):
            await end.event.wait()

    async def of(self, blocks: Sequence[int], slots: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
        """See ``DigestSource``."""
        assert self._before is not None
        found: list[bytes] = []
        for block, slot, length in zip(blocks, slots, lengths, strict=True):
            says = self._slots if block in self._before else self._stream
            found += await says.of([block], [slot], [length])
        return found
