"""What every kind of source answers, so that the producer need not know kinds."""

from typing import Protocol


class LostError(OSError):
    """Nothing of the source can be read now, so that it is no use to look for the place that can't."""


class Source(Protocol):
    """Something whose bytes can be read at any offset, more than once."""

    @property
    def path(self) -> str:
        """As the user named it, made absolute."""

    @property
    def identity(self) -> str:
        """The same for the same place, whatever path, link or name it is called by here."""

    @property
    def origin(self) -> str | None:
        """What the bytes are known by where they come from; None: nobody has said."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        """Fill ``slots`` in order with the ``length`` bytes at ``offset``; called in a worker thread.

        ``offset`` is a multiple of PAGE and each slot a page-aligned piece of memory whose size is one too;
        ``length`` may end within the last slot, whose rest may be overwritten. Raises OSError when the bytes
        can't be had, all of them; LostError when others can't, either.
        """

    def descriptors(self) -> tuple[int, ...]:
        """Give what has to stay open in a process that reads it."""

    def close(self) -> None:
        """Let go of it, in this process."""
