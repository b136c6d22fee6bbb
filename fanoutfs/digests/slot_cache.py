"""The digests of the blocks in the ring's slots, for copies that verify.

A digest is made in a worker thread when a copy first asks for it, and kept as long as the block is in its
slot. So it costs nothing where no copy verifies, and is made once per block where many do.
"""

from collections.abc import Container, Sequence

import attrs
import trio

from fanoutfs.digests.digest import digest
from fanoutfs.digests.in_flight import InFlight
from fanoutfs.ring.decision import Read
from fanoutfs.ring.memory import Memory
from fanoutfs.ring.observer import Observer


@attrs.define(eq=False)
class SlotDigests(Observer):
    """The digests of the slots' content; an observer of the ring."""

    memory: Memory
    _known: dict[int, bytes] = attrs.field(factory=dict, init=False)
    """By slot."""
    _in_flight: InFlight = attrs.field(factory=InFlight, init=False)

    async def ready(self) -> None:
        """Return: what is in a slot can be hashed at any time."""

    def filled(self, read: Read, bad: Container[int]) -> None:  # noqa: ARG002 (a bad block has a digest, too)
        """Drop the digests of slots that were filled again, known or being made."""
        for slot in read.slots:
            self._known.pop(slot, None)
            self._in_flight.drop(slot)

    async def of(self, blocks: Sequence[int], slots: Sequence[int], lengths: Sequence[int]) -> list[bytes]:  # noqa: ARG002 (what is in the slots is hashed)
        """Return the digests of the first ``lengths`` bytes of each slot; its block is granted to the caller.

        A checkpoint only if one has to be made. Cancelled: hashing under way is finished first. If the grant
        is revoked and the slot filled again meanwhile, its digest is empty.
        """
        await self._in_flight.wait(slots)
        lacking = {
            slot: length for slot, length in zip(slots, lengths, strict=True) if slot not in self._known
        }
        if lacking:
            await self._make(lacking)
        return [self._known.get(slot, b"") for slot in slots]

    async def _make(self, lacking: dict[int, int]) -> None:
        with self._in_flight.batch(list(lacking)) as batch:
            pieces = [self.memory.slot(slot)[:length] for slot, length in lacking.items()]
            found = await trio.to_thread.run_sync(lambda: [digest(piece) for piece in pieces])
            for slot, one in zip(lacking, found, strict=True):
                if self._in_flight.is_current(slot, batch):
                    self._known[slot] = one
