"""How fast counters grow, from what successive status documents say. Pure: the times are handed in.

A rate is the bytes of the last seconds over those seconds, older ones counting less and less: both sums fade
by the same factor, so that the first two samples already give a fair rate, and uneven intervals do no harm.
"""

import math
from typing import Any

import attrs

MEMORY = 5.0
"""What was that many seconds ago counts a third (1/e) of what is now: short enough to see a stick slow down,
long enough that readers which take 8 MiB at a time do not flicker."""


@attrs.define(eq=False)
class Rate:
    """The rate of one counter, in bytes per second."""

    memory: float = MEMORY
    """Seconds."""
    _bytes: float = attrs.field(default=0.0, init=False)
    _seconds: float = attrs.field(default=0.0, init=False)
    _last: tuple[float, int] | None = attrs.field(default=None, init=False)

    def sample(self, now: float, total: int) -> None:
        """Take what the counter says at a time (seconds); one that went back has begun anew."""
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
        """Bytes per second; None before there are two samples."""
        return self._bytes / self._seconds if self._seconds > 0 else None


@attrs.frozen
class Speeds:
    """What is known of the rates at one time, in bytes per second; what is not known is not in it."""

    source: float | None = None
    readers: dict[int, float] = attrs.field(factory=dict)
    """By the readers' ids."""

    @property
    def together(self) -> float | None:
        """What all readers take; None when nothing is known of any."""
        return sum(self.readers.values()) if self.readers else None


@attrs.define(eq=False)
class Rates:
    """The rates of one producer: of its source and of each reader."""

    _producer: int | None = attrs.field(default=None, init=False)
    _source: Rate = attrs.field(factory=Rate, init=False)
    _readers: dict[int, Rate] = attrs.field(factory=dict, init=False)

    def update(self, document: dict[str, Any], now: float) -> Speeds:
        """Take the next status document, read at a time in seconds; gives the rates that follow."""
        if document["pid"] != self._producer:
            self._producer, self._source, self._readers = document["pid"], Rate(), {}
        self._source.sample(now, document["source"]["bytes_read"])
        before, self._readers = self._readers, {}
        for reader in document["readers"]:
            rate = self._readers[reader["id"]] = before.get(reader["id"]) or Rate()
            rate.sample(now, reader["delivered"])
        known = {key: rate.value for key, rate in self._readers.items()}
        return Speeds(self._source.value, {key: value for key, value in known.items() if value is not None})
