"""How much is written in one call: while a write lasts it holds slots of the ring. No I/O, no clock.

A slow stick writes a MiB in a tenth of a second and 8 MiB in nearly one, in which all other readers may have
to wait for the slots; a fast disk needs long writes. So the size begins with a block, doubles while writes
are quick, and after a slow one drops to what would have taken LONGEST seconds.
"""

import attrs

from fanoutfs.units import MIB

LONGEST = 0.5
"""Seconds that a write should last at most."""

LONGEST_WRITE = 8 * MIB
"""Bytes: longer writes gain nothing."""

SHARE = 4
"""All workers together take at most this part of the memory that is left for buffers: a quarter."""

BUFFERS = 2
"""What each worker may have of the size of a write: to copy to, to compare with, to verify."""


def longest_write(room: int, targets: int) -> int:
    """Return the most bytes of one write, where ``room`` bytes of memory are left for that many targets."""
    return min(LONGEST_WRITE, max(MIB, room // (SHARE * BUFFERS * targets)))


@attrs.define(eq=False)
class WriteSize:
    """The number of blocks, of ``block`` bytes each, that the next write should have."""

    block: int
    longest: int = LONGEST_WRITE
    """The most bytes of a write; it has at least one block."""
    blocks: int = attrs.field(default=1, init=False)

    def record(self, blocks: int, seconds: float) -> None:
        """Record how long a write of that many blocks took."""
        if seconds > LONGEST:
            self.blocks = min(self.blocks, max(1, int(blocks * LONGEST / seconds)))
        elif blocks >= self.blocks and seconds <= LONGEST / 2:
            self.blocks = min(2 * self.blocks, max(1, self.longest // self.block))
