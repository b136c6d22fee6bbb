"""Rates of counters, computed from successive status documents. No I/O; the caller passes the times.

A rate is the bytes of the last seconds divided by those seconds, with exponentially decreasing weights. Both
sums decay by the same factor, so two samples are enough for a good rate, and uneven intervals do no harm.
"""

import math

import attrs

from fanoutfs.status.document import StatusDocument

MEMORY = 5.0
"""Seconds after which a sample has a third (1/e) of its weight: short enough to show that a stick slows
down, long enough that the rate of a reader of 8 MiB at a time does not flicker."""


@attrs.define(eq=False)
class Rate:
    """The rate of one counter, in bytes per second."""

    memory: float = MEMORY
    """Seconds."""
    _bytes: float = attrs.field(default=0.0, init=False)
    _seconds: float = attrs.field(default=0.0, init=False)
    _last: tuple[float, int] | None = attrs.field(default=None, init=False)

    def sample(self, now: float, total: int) -> None:
        """Record the counter at a time in seconds; a counter that decreased has been restarted."""
        if self._last is not None:
            seconds, grown = now - self._last[0], total - self._last[1]
            if seconds <= 0:
                return
            if grown < 0:
                self._bytes = self._seconds = 0.0
            else:
                fade = math.exp(-seconds / self.memory)
                self._bytes = self._bytes * fade + grown
                self._seconds = self._seconds * fade + seconds
        self._last = now, total

    @property
    def value(self) -> float | None:
        """Bytes per second; None before the second sample."""
        return self._bytes / self._seconds if self._seconds > 0 else None


@attrs.frozen
class Speeds:
    """The known rates at one time, in bytes per second."""

    source: float | None = None
    readers: dict[int, float] = attrs.field(factory=dict)
    """By the readers' ids."""

    @property
    def together(self) -> float | None:
        """The sum over all readers; None if no rate is known."""
        return sum(self.readers.values()) if self.readers else None


@attrs.define(eq=False)
class Rates:
    """The rates of one producer: of its source and of each reader."""

    _producer: int | None = attrs.field(default=None, init=False)
    _source: Rate = attrs.field(factory=Rate, init=False)
    _readers: dict[int, Rate] = attrs.field(factory=dict, init=False)

    def update(self, document: StatusDocument, now: float) -> Speeds:
        """Record a status document, read at a time in seconds; return the rates."""
        if document.pid != self._producer:
            self._producer, self._source, self._readers = document.pid, Rate(), {}
        self._source.sample(now, document.source.bytes_read)
        before, self._readers = self._readers, {}
        for reader in document.readers:
            rate = self._readers[reader.id] = before.get(reader.id) or Rate()
            rate.sample(now, reader.delivered)
        known = {key: rate.value for key, rate in self._readers.items()}
        return Speeds(self._source.value, {key: value for key, value in known.items() if value is not None})
