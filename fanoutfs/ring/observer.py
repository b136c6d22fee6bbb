"""Observers of the slots' content: the ring knows digests and lenders only through this class."""

from collections.abc import Container

from fanoutfs.ring.decision import Read


class Observer:
    """Observes what is read into the slots and what leaves them; an event not overridden is ignored."""

    __slots__ = ()

    def filled(self, read: Read, bad: Container[int]) -> None:
        """React to a finished read; ``bad`` has the blocks in which bytes could not be read."""

    def shortened(self) -> None:
        """React to an image whose end was found to be nearer than was thought."""

    async def before_overwrite(self, slots: tuple[int, ...]) -> None:
        """Return once the source may be read into these slots, in which no block is resident any more.

        The producer waits. Must not be cancelled: the slots are already lent.
        """
