"""Observers of the slots' content: the ring knows digests and lenders only through these classes."""

from collections.abc import Container, Iterator
from contextlib import contextmanager

import attrs

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


@attrs.define(eq=False)
class Observers(Observer):
    """Those of one ring."""

    _all: tuple[Observer, ...] = ()

    def add(self, observer: Observer) -> None:
        """Add an observer for as long as the ring is used."""
        self._all = (*self._all, observer)

    @contextmanager
    def including(self, observer: Observer) -> Iterator[None]:
        """Add an observer while the ``with`` block runs."""
        self.add(observer)
        try:
            yield
        finally:
            self._all = tuple(other for other in self._all if other is not observer)

    def filled(self, read: Read, bad: Container[int]) -> None:
        """Pass it on."""
        for observer in self._all:
            observer.filled(read, bad)

    def shortened(self) -> None:
        """Pass it on."""
        for observer in self._all:
            observer.shortened()

    async def before_overwrite(self, slots: tuple[int, ...]) -> None:
        """Pass it on, one after the other."""
        for observer in self._all:
            await observer.before_overwrite(slots)
