"""What may follow the content of the ring's slots: all that the ring knows of digests and of lenders."""

from collections.abc import Container

from fanoutfs.ring.decision import Read


class Observer:
    """Follows what comes into the slots and what leaves them; it ignores what it does not override."""

    __slots__ = ()

    def filled(self, read: Read, bad: Container[int]) -> None:
        """React to a finished read; ``bad`` has the blocks in which bytes could not be read."""

    async def before_overwrite(self, slots: tuple[int, ...]) -> None:
        """Return when the source may be read into these slots, in which no block is resident any more.

        The producer waits. Not to be cancelled: the slots are lent already.
        """
