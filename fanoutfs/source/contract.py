"""The contract of every kind of source, so that the producer need not know kinds."""

from collections.abc import Sequence
from typing import Protocol

from fanoutfs.ranges import Range


class LostError(OSError):
    """No byte of the source can be read now, so that a search for the bad place is of no use."""


class EndedError(OSError):
    """The source has no such byte any more: it is shorter than it was."""


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

    @property
    def sector(self) -> int:
        """The least that can be read by itself, in bytes: SECTOR, or what a disk or a file system demands.

        Asked only after a read has failed, in a worker thread: finding it out may take another read.
        """

    @property
    def overlaps(self) -> bool:
        """Whether it can be read in two threads at once: a read that hangs does not stop others then."""

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        """Fill ``slots`` in order with the ``length`` bytes at ``offset``; called in a worker thread.

        ``offset`` is a multiple of PAGE and each slot a page-aligned piece of memory whose size is one too;
        ``length`` may end within the last slot, whose rest may be overwritten. Around a bad place offset,
        memory and length are multiples of ``sector``, except for what ends where the source does. Raises
        OSError when not all of the bytes can be read; LostError when no others can be read, either;
        EndedError when the source has become shorter; SlowError, of more than ``pieces.LEAST`` bytes only,
        when a smaller request may be answered in time.
        """

    def data(self) -> Sequence[Range] | None:
        """Return the bytes that may not be zeros: ascending, disjoint ranges; None if that is not known.

        Called once, in the process that reads the source, before it reads. All other bytes are zeros, and
        are not read.
        """

    def limit_silence(self, seconds: float) -> None:
        """Limit the silence of a connection to ``seconds``, if the source has one and would wait longer.

        Called before the first read.
        """

    def descriptors(self) -> tuple[int, ...]:
        """Return the descriptors that must stay open in a process that reads the source."""

    def close(self) -> None:
        """Close it in this process."""
