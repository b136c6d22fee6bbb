"""How many bytes are requested from a source at a time, fitted to its rate. No I/O, no clock.

A source behind a slow link (an NBD export, a file on NFS or sshfs) takes minutes for a run of several MiB,
and a request shows nothing before its last byte has arrived: a source that is slow looks like one that hangs.
So requests begin small, and become larger while they are answered quickly: on a disk the first run is read in
about eight, later ones in one.
"""

import attrs

from fanoutfs.units import KIB, MIB

LEAST = 64 * KIB
"""Bytes of the first requests, and the least: on any link that can copy disks they take a few seconds. No NBD
server demands larger ones (its minimum block size is at most that)."""

MOST = 64 * MIB
"""Bytes: no run is longer."""

QUICK_SECONDS, SLOW_SECONDS = 1.0, 4.0
"""A request that takes less than the first may be twice as large, one that takes more than the second should
be half as large. The quarter between them keeps a steady rate from changing anything."""


@attrs.define(eq=False)
class Pieces:
    """The size of the next request, in bytes: a power of two."""

    size: int = LEAST

    def answered(self, count: int, seconds: float) -> None:
        """Record that a request of ``count`` bytes took this time."""
        if seconds > SLOW_SECONDS:
            self.size = max(LEAST, self.size // 2)
        elif seconds < QUICK_SECONDS and count >= self.size:
            self.size = min(MOST, 2 * self.size)

    def unanswered(self) -> None:
        """Record that a request was not answered in time."""
        self.size = LEAST
