"""Decides what a client's process may ask of the control socket. No I/O, no clock.

All clients are processes of the producer's own user, and trusted to read the image. But one that is broken
must not cost the others their copies, or delay them. So a process has a limited number of connections, its
messages are answered at a limited rate, and it is barred once MOST_OFFENCES of its connections had to be
closed.
"""

import math
from collections.abc import Hashable

import attrs

MOST_CONNECTIONS = 256
"""Of one process. A copy's worker has one, a command two; each may take four descriptors of the producer."""

MOST_OFFENCES = 3
"""A copy that was cut off by mistake connects again, at most this many times."""

RATE = 100.0
"""Messages per second of one process. ``top`` sends five, a copy one in five seconds."""

BURST = 500
"""How many messages are answered at once before RATE applies."""

_MANY = 64
"""From this number of records on, those that say nothing are dropped."""


@attrs.define(eq=False)
class _Record:
    connections: int = 0
    offences: int = 0
    due: float = -math.inf
    """When the messages so far would have come at RATE."""


@attrs.define(eq=False)
class Conduct:
    """The clients' processes, and what they have done; a process is identified by any hashable value."""

    _records: dict[Hashable, _Record] = attrs.field(factory=dict, init=False)

    def refusal(self, process: Hashable) -> str | None:
        """Return why a further connection of this process is refused; None if it is not."""
        record = self._records.get(process)
        if record is None:
            return None
        if record.offences >= MOST_OFFENCES:
            return f"this process was cut off {record.offences} times for invalid messages; start it anew"
        if record.connections >= MOST_CONNECTIONS:
            return f"this process has {record.connections} connections, which is the most; close some"
        return None

    def connected(self, process: Hashable, now: float) -> None:
        """Record a connection."""
        if len(self._records) >= _MANY:
            self._records = {key: one for key, one in self._records.items() if self._is_needed(one, now)}
        self._records.setdefault(process, _Record()).connections += 1

    def closed(self, process: Hashable) -> None:
        """Record the end of a connection."""
        self._records[process].connections -= 1

    def offended(self, process: Hashable) -> None:
        """Record that a connection had to be closed for what the process did."""
        self._records[process].offences += 1

    def delay(self, process: Hashable, now: float) -> float:
        """Count a message; return after how many seconds it may be answered."""
        record = self._records[process]
        record.due = max(record.due, now - BURST / RATE) + 1 / RATE
        return max(0.0, record.due - now)

    def _is_needed(self, record: _Record, now: float) -> bool:
        return bool(record.connections or record.offences) or record.due > now - BURST / RATE
