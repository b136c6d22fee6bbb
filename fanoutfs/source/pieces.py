"""How many bytes are requested from a source at a time, fitted to its rate. No I/O, no clock.

A source behind a slow link (an NBD export, a file on NFS or sshfs) takes minutes for a run of several MiB,
and a request shows nothing before its last byte has arrived: a source that is slow looks like one that hangs.
So requests begin small, and become larger while they are answered quickly: on a disk the first run is read in
about eight, later ones in one.
"""

from typing import Self

import attrs

from fanoutfs.units import KIB, MIB

LEAST = 64 * KIB
"""Bytes of the first requests, and the least: on any link that can copy disks they take a few seconds. No NBD
server demands larger ones (its minimum block size is at most that)."""

MOST = 64 * MIB
"""Bytes: no run is longer."""

QUICK_SECONDS = 2.0
"""After a request that took less, the next may be twice as large. Many sources take some tenths of a second
for any request."""

QUICK_SHARE = 8
"""With a short time limit, a quick request takes at most one part in this many of it."""

SLOW = 2.5
"""After a request that took more than this multiple of a quick one, the next is half as large. More than two,
so that a steady rate does not change the size."""


@attrs.define(eq=False)
class Pieces:
    """The size of the next request, in bytes: a power of two."""

    size: int = LEAST
    quick_seconds: float = QUICK_SECONDS

    @classmethod
    def within(cls, limit: float) -> Self:
        """Return the pieces for a source that may be silent for ``limit`` seconds."""
        return cls(quick_seconds=min(QUICK_SECONDS, limit / QUICK_SHARE))

    def answered(self, count: int, seconds: float) -> None:
        """Record that a request of ``count`` bytes took this time."""
        if seconds > SLOW * self.quick_seconds:
            self.size = max(LEAST, self.size // 2)
        elif seconds < self.quick_seconds and count >= self.size:
            self.size = min(MOST, 2 * self.size)

    def unanswered(self) -> None:
        """Record that a request was not answered in time."""
        self.size = LEAST
