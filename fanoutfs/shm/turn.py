"""One copy's turn round the image, which it can continue with a different producer."""

from typing import Self

import attrs


@attrs.frozen
class Turn:
    """Unrolled blocks: a turn ends at ``start`` plus the number of the image's blocks."""

    start: int
    """The first block of the turn."""
    next: int
    """The next block to copy."""

    def advanced(self, blocks: int) -> Self:
        """Return the same turn, ``blocks`` blocks later."""
        return attrs.evolve(self, next=self.next + blocks)

    def rest(self, blocks: int) -> tuple[int, int]:
        """Return the unrolled blocks to copy, [begin, end), of an image of that many blocks."""
        return self.next, self.start + blocks
