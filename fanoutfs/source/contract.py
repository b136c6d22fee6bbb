"""The contract of every kind of source, so that the producer need not know kinds."""

from typing import Protocol


class LostError(OSError):
    """No byte of the source can be read now, so that a search for the bad place is of no use."""


class SlowError(OSError):
    """The bytes did not arrive in time; fewer may."""


class Source(Protocol):
    """Something whose bytes can be read at any offset, more than once."""

    @property
    def path(self) -> str:
        """The path that the user named, made absolute."""

    @property
    def identity(self) -> str:
        """The same for every path, link or name of the source on this machine."""

    @property
    def origin(self) -> str | None:
        """The identity of the bytes on the machine that they come from; None if that is unknown."""

    @property
    def size(self) -> int:
        """Bytes."""

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        """Fill ``slots`` in order with the ``length`` bytes at ``offset``; called in a worker thread.

        ``offset`` is a multiple of PAGE and each slot a page-aligned piece of memory whose size is one too;
        ``length`` may end within the last slot, whose rest may be overwritten. Raises OSError when not
        all of the bytes can be read; LostError when no others can be read, either; SlowError, of more than
        ``pieces.LEAST`` bytes only, when a smaller request may be answered in time.
        """

    def limit_silence(self, seconds: float) -> None:
        """Limit the silence of a connection to ``seconds``, if the source has one and would wait longer.

        Called before the first read.
        """

    def descriptors(self) -> tuple[int, ...]:
        """Return the descriptors that must stay open in a process that reads the source."""

    def close(self) -> None:
        """Close it in this process."""
