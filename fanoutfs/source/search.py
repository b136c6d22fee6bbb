"""How a bad area is read: smaller and smaller, for a limited time, and its edges later. No I/O, no clock.

A read that has failed is read again in pieces of 64 KiB; of these, one that fails in pages; and a page that
fails in sectors. So a bad sector among good ones costs one failed read of each size: failed reads are what
takes the time, up to half a minute each. (Halving fails more often: fourteen times to find a sector in
8 MiB.)

A disk may fail for gigabytes, and readers wait meanwhile. So an area is left after some seconds: the bytes
ahead are left out, twice as many each time, until a piece can be read again. That is how GNU ddrescue
reads on. What was left is tried again later, from both edges inwards, until a sector fails at each; then what
is between, if there is time.
"""

import enum
from collections import deque
from collections.abc import Iterator
from typing import Self

import attrs

from fanoutfs.ranges import Extent
from fanoutfs.source.pieces import LEAST
from fanoutfs.units import MIB, PAGE

AREA_SECONDS = 3.0
"""How long failed reads in one bad area may take before it is left."""

AGAIN_SECONDS = 10.0
"""How long those in the middle of an area may take that is tried again."""

SHORTEST_FAILURE = 0.002
"""Seconds. A failed read counts as at least this long: thousands that fail at once take their time, too."""

MOST_SKIPPED = 1024 * MIB
"""Bytes that are left out at a time, at most; and no more than one part in SKIPPED_SHARE of the source."""

SKIPPED_SHARE = 100


@attrs.define(eq=False)
class Area:
    """The time that a bad area has taken."""

    most: int = MOST_SKIPPED
    """The most bytes to be left out at a time."""
    limit: float = AREA_SECONDS
    _spent: float = attrs.field(default=0.0, init=False)
    _skip: int = attrs.field(default=LEAST, init=False)

    @classmethod
    def of(cls, size: int) -> Self:
        """Return the area for a source of ``size`` bytes."""
        return cls(max(LEAST, min(MOST_SKIPPED, size // SKIPPED_SHARE // LEAST * LEAST)))

    def failed(self, seconds: float) -> None:
        """Record a read that failed after this time."""
        self._spent += max(seconds, SHORTEST_FAILURE)

    def answered(self, count: int) -> None:
        """Record a read that brought this many bytes: after a whole piece the area is over."""
        if count >= LEAST:
            self._spent, self._skip = 0.0, LEAST

    @property
    def is_over_time(self) -> bool:
        """Whether the area has to be left."""
        return self._spent >= self.limit

    def leave(self) -> int:
        """Return how many bytes to leave out, from the read on that failed last."""
        skip, self._skip = self._skip, min(2 * self._skip, self.most)
        return skip


class Direction(enum.Enum):
    """Where the next read is taken from."""

    FROM_BEGIN = "forward from the first edge, until a sector fails"
    FROM_END = "backward from the last edge, until a sector fails"
    BETWEEN = "forward, over all that is left"


@attrs.define(eq=False)
class Search:
    """The reads of a bad range, each of at least a ``sector`` of bytes."""

    sector: int
    _pending: deque[Extent]
    """In ascending order."""
    edges: tuple[bool, bool] = (False, False)
    """Whether its first and its last byte are at the edges of a bad area: they are tried first."""
    _directions: deque[Direction] = attrs.field(init=False)
    now: Extent = attrs.field(default=(0, 0), init=False)
    """What is being read."""

    def __attrs_post_init__(self) -> None:
        first, last = self.edges
        self._directions = deque(
            [Direction.FROM_BEGIN] * first + [Direction.FROM_END] * last + [Direction.BETWEEN]
        )

    @classmethod
    def within(cls, begin: int, end: int, sector: int, *, edges: tuple[bool, bool] = (False, False)) -> Self:
        """Return the reads of a bad range, [begin, end)."""
        return cls(sector, deque(_parts(begin, end, LEAST)), edges)

    @classmethod
    def of_read(cls, begin: int, end: int, sector: int) -> Self:
        """Return the reads of a range that has just been read as a whole, which is the first read."""
        return cls(sector, deque([(begin, end)]))

    def next(self) -> Extent | None:
        """Return what to read next, or None at the end."""
        if not self._pending:
            return None
        backward = self._directions[0] is Direction.FROM_END
        self.now = self._pending.pop() if backward else self._pending.popleft()
        return self.now

    def failed(self) -> bool:
        """Record that this read has failed; return whether it was of a sector, which is bad then."""
        begin, end = self.now
        sizes = [size for size in (LEAST, PAGE, self.sector) if self.sector <= size < end - begin]
        if not sizes:
            if self._directions[0] is not Direction.BETWEEN:
                self._directions.popleft()
            return True
        parts = list(_parts(begin, end, sizes[0]))
        if self._directions[0] is Direction.FROM_END:
            self._pending.extend(parts)
        else:
            self._pending.extendleft(reversed(parts))
        return False

    def drop(self, end: int) -> list[Extent]:
        """Return what is left before ``end``; it is not read any more."""
        dropped, kept = [], deque[Extent]()
        for low, high in self._pending:
            if low < end:
                dropped.append((low, min(high, end)))
            if high > end:
                kept.append((max(low, end), high))
        self._pending = kept
        return dropped


def _parts(begin: int, end: int, size: int) -> Iterator[Extent]:
    """Yield the parts of a range; each but the last ends at a multiple of ``size``."""
    while begin < end:
        stop = min(end, begin - begin % size + size)
        yield begin, stop
        begin = stop
