"""Limits the rate of the source, so that a copy does not starve other users of the disk. No I/O, no clock."""

import math

import attrs


@attrs.define(eq=False)
class RateLimit:
    """A leaky bucket that holds nothing: a rest gives no credit for a burst (GCRA, ITU-T I.371)."""

    limit: float = math.inf
    """Bytes per second."""
    _free_at: float = attrs.field(default=-math.inf, init=False)

    def wait(self, now: float) -> float:
        """Return the seconds from ``now`` until the source may be read again."""
        return max(0.0, self._free_at - now)

    def began(self, now: float, count: int) -> None:
        """Record a read of ``count`` bytes that begins ``now``."""
        self._free_at = max(self._free_at, now) + count / self.limit
