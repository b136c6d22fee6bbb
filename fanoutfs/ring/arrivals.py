"""Since when nothing has come from the source. No I/O, no clock."""

import math

import attrs


@attrs.define(eq=False)
class Arrivals:
    """Times of the ring's clock at which the source was asked, and gave something."""

    reading_since: float | None = attrs.field(default=None, init=False)
    """When the read under way began; None while no read is under way."""
    dry_since: float = attrs.field(default=-math.inf, init=False)
    """Since when blocks that have not come are held back."""
    _count: int = attrs.field(default=0, init=False)
    _at: float = attrs.field(default=-math.inf, init=False)
    """When bytes were last noticed to have come."""

    @property
    def is_reading(self) -> bool:
        """Whether a read is under way."""
        return self.reading_since is not None

    def look(self, count: int, now: float) -> None:
        """Record how many bytes have come from the source so far."""
        if count != self._count:
            self._count, self._at = count, now

    def read_is_silent(self, limit: float, now: float) -> bool:
        """Return whether a read is under way, and nothing has come for ``limit`` seconds."""
        return self.reading_since is not None and now - max(self.reading_since, self._at) >= limit

    def is_dry(self, limit: float, now: float) -> bool:
        """Return whether nothing of what is held back has come for ``limit`` seconds."""
        return now - max(self.dry_since, self._at) >= limit
