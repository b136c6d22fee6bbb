"""The slots whose content is being hashed now."""

from collections.abc import Iterator, KeysView, Sequence
from contextlib import contextmanager

import attrs
import trio


@attrs.define(eq=False)
class InFlight:
    """The slots that are being hashed; a slot is in one batch at most."""

    _batches: dict[int, trio.Event] = attrs.field(factory=dict, init=False)
    """By slot, the event that is set at the end of its batch."""

    @property
    def slots(self) -> KeysView[int]:
        """The slots that are being hashed now."""
        return self._batches.keys()

    async def wait(self, slots: Sequence[int]) -> None:
        """Wait until none of these slots is being hashed; a checkpoint only when one is.

        Cancelled: the hashing goes on.
        """
        while batches := [self._batches[slot] for slot in slots if slot in self._batches]:
            await batches[0].wait()

    @contextmanager
    def batch(self, slots: Sequence[int]) -> Iterator[trio.Event]:
        """Register slots as being hashed while the ``with`` block runs; yield the batch's identity."""
        done = trio.Event()
        self._batches.update(dict.fromkeys(slots, done))
        try:
            yield done
        finally:
            for slot in slots:
                if self._batches.get(slot) is done:
                    del self._batches[slot]
            done.set()

    def is_current(self, slot: int, batch: trio.Event) -> bool:
        """Return whether a slot still holds what the batch hashes."""
        return self._batches.get(slot) is batch

    def drop(self, slot: int) -> None:
        """Remove a slot that has been filled again: it no longer holds what is being hashed."""
        self._batches.pop(slot, None)
