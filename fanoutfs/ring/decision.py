"""What the rules decide, and what they decide on. No I/O, no clock."""

import math

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
        """The numbers of the blocks to be read."""
        return range(self.first, self.first + len(self.slots))


@attrs.frozen
class Rest:
    """Decision: leave the source alone until an event comes, or until the time ``until`` (seconds)."""

    until: float = math.inf


@attrs.frozen
class ReadCandidate:
    """``most`` blocks from the absent real block ``block`` on are wanted at ``position``.

    ``position`` is None for the sake of a reader that counts for nobody. ``asked``: not only looked ahead
    for.
    """

    block: int
    most: int
    position: Position | None
    requested: bool = False
    detour: bool = False
