"""How much is written in one call: while a write lasts it holds slots of the ring. Pure.

A slow stick takes a MiB in a tenth of a second and 8 MiB in nearly one, in which everybody else may have to
wait for the slots; a fast disk wants long writes. So it begins with a block, doubles while writes are quick,
and goes back to what would have taken LONGEST when one was slow.
"""

import attrs

from fanoutfs.units import MIB

LONGEST = 0.5
"""Seconds that a write should last at most."""

MOST = 8 * MIB
"""Bytes: from here on longer writes gain nothing."""


@attrs.define(eq=False)
class WriteSize:
    """Says how many blocks of ``block`` bytes the next write should have."""

    block: int
    count: int = attrs.field(default=1, init=False)

    def lasted(self, blocks: int, seconds: float) -> None:
        """Enter how long a write of so many blocks took."""
        if seconds > LONGEST:
            self.count = min(self.count, max(1, int(blocks * LONGEST / seconds)))
        elif blocks >= self.count and seconds <= LONGEST / 2:
            self.count = min(2 * self.count, max(1, MOST // self.block))
