"""One copy's turn round the image, which it can continue with a different producer."""

from typing import Self

import attrs


@attrs.frozen
class Turn:
    """Unrolled blocks: a turn ends at ``start`` plus the number of the image's blocks."""

    start: int
    """The block where it began."""
    next: int
    """The block to be copied next."""

    def advanced(self, blocks: int) -> Self:
        """Return the same turn that many blocks later."""
        return attrs.evolve(self, next=self.next + blocks)
