"""The digests of what is in the ring's slots, for the consumers that verify.

One is made when a consumer first asks for it, in a worker thread, and kept as long as the block is in its
slot: so it costs nothing where nobody verifies, and once per block where many do.
"""

from collections.abc import Sequence
from typing import Protocol

import attrs
import trio

from fanoutfs.digests.digest import digest
from fanoutfs.ring.memory import Memory


class DigestSource(Protocol):
    """Gives the digests of blocks, wherever from."""

    async def ready(self) -> None:
        """Wait until all that is read from now on will have its digest; before anybody who verifies joins.

        Cancelled: nothing is left. Raises FanoutError when it can't be.
        """

    async def of(self, blocks: Sequence[int], slots: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
        """Give the digests of these real blocks, so many bytes of each, which are in these slots and stay.

        Raises FanoutError when there is none to be had.
        """


@attrs.define(eq=False)
class SlotDigests:
    """The digests of what is in the slots."""

    memory: Memory
    _of: dict[int, bytes] = attrs.field(factory=dict, init=False)
    """By slot."""
    _making: dict[int, trio.Event] = attrs.field(factory=dict, init=False)

    async def ready(self) -> None:
        """Return: what is in a slot can be hashed at any time."""

    def forget(self, slots: tuple[int, ...]) -> None:
        """Note that slots have been filled anew; what is being made of what was there is not kept."""
        for slot in slots:
            self._of.pop(slot, None)
            self._making.pop(slot, None)

    async def of(self, blocks: Sequence[int], slots: Sequence[int], lengths: Sequence[int]) -> list[bytes]:  # noqa: ARG002 (what is in the slots is hashed)
        """Give the digests of so many bytes of each slot; the caller has been granted these blocks.

        A checkpoint when one has to be made. Cancelled: what is being made is made first. If the grant is
        revoked meanwhile the digests are of nothing, and empty.
        """
        while making := [self._making[slot] for slot in slots if slot in self._making]:
            await making[0].wait()
        lacking = [
            (slot, length) for slot, length in zip(slots, lengths, strict=True) if slot not in self._of
        ]
        if lacking:
            await self._make(lacking)
        return [self._of.get(slot, b"") for slot in slots]

    async def _make(self, lacking: list[tuple[int, int]]) -> None:
        made = trio.Event()
        self._making.update((slot, made) for slot, _ in lacking)
        try:
            pieces = [self.memory.slot(slot)[:length] for slot, length in lacking]
            found = await trio.to_thread.run_sync(lambda: [digest(piece) for piece in pieces])
            for (slot, _), one in zip(lacking, found, strict=True):
                if self._making.get(slot) is made:
                    self._of[slot] = one
        finally:
            for slot, _ in lacking:
                if self._making.get(slot) is made:
                    del self._making[slot]
            made.set()
