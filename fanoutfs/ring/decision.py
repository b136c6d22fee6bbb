"""The decisions of the rules, and the candidates they choose from. No I/O, no clock."""

import math
from typing import Self

import attrs

from fanoutfs.ring.cursor import Position


@attrs.frozen
class Read:
    """Decision: read the blocks from ``first`` on, one into each of ``slots``, in this order."""

    first: int
    slots: tuple[int, ...]
    detour: bool

    @property
    def blocks(self) -> range:
        """The numbers of the blocks to read."""
        return range(self.first, self.first + len(self.slots))

    def shortened(self, count: int) -> Self:
        """Return the read of the first ``count`` of these blocks."""
        return attrs.evolve(self, slots=self.slots[:count])


@attrs.frozen
class Rest:
    """Decision: do not read until an event occurs, or until the time ``until`` (seconds)."""

    until: float = math.inf


@attrs.frozen
class ReadCandidate:
    """Up to ``most`` blocks, from the absent real block ``block`` on, that ``position`` wants.

    ``position`` is None for a reader that is not sequential. ``requested``: not only in a look-ahead.
    """

    block: int
    most: int
    position: Position | None
    requested: bool = False
    detour: bool = False
