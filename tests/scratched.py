"""A source in memory that takes no time, for tests of any tier."""

import errno
from collections.abc import Sequence

import attrs

from fanoutfs.ranges import Range
from fanoutfs.units import PAGE


@attrs.define(eq=False)
class InMemory:
    """What sources in memory have in common: no holes, no connection, no descriptors."""

    @property
    def overlaps(self) -> bool:
        return False

    def data(self) -> Sequence[Range] | None:
        return None

    def limit_silence(self, seconds: float) -> None:
        pass

    def descriptors(self) -> tuple[int, ...]:
        return ()

    def close(self) -> None:
        pass


@attrs.define(eq=False)
class Scratched(InMemory):
    """A source with bad pages: any read that touches one fails, as a disk's does."""

    content: bytes
    bad: frozenset[int] = frozenset()
    path: str = "scratched"
    identity: str = "scratched"
    origin: str | None = None
    reads: int = 0
    filled: Sequence[Range] | None = None
    """See ``Source.data``."""

    @property
    def size(self) -> int:
        return len(self.content)

    @property
    def sector(self) -> int:
        return PAGE

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        self.reads += 1
        if any(page in self.bad for page in range(offset // PAGE, -(-(offset + length) // PAGE))):
            raise OSError(errno.EIO, "scratched")
        for slot in slots:
            piece = self.content[offset : offset + min(len(slot), length)]
            slot[: len(piece)] = piece
            offset, length = offset + len(piece), length - len(piece)

    def data(self) -> Sequence[Range] | None:
        return self.filled
