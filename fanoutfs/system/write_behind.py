"""When data written without O_DIRECT is sent to the disk, before it piles up in memory. No I/O, no clock.

By itself, the kernel lets dirty pages fill the memory (vm.dirty_ratio), then stops the writer, and leaves the
rest to the fsync at the end. So write-out is started every START bytes, and the writer waits for what lies
LIMIT bytes behind it, in pieces as large as its writes: at most LIMIT bytes and one write are dirty. 2 GiB to
an ext4 were written at 1.2 to 1.7 GB/s, flush included, without this at 0.3 to 0.6; on a tmpfs, which has no
disk to wait for, it costs 2 % of the writer's time.
"""

from collections import deque

import attrs

from fanoutfs.ranges import Range, joined
from fanoutfs.units import MIB

START = 8 * MIB
"""Bytes: enough at a time for any disk's full rate."""

LIMIT = 32 * MIB
"""Four times START: the disk has more to write while the writer waits for the oldest."""


@attrs.define(eq=False)
class WriteBehind:
    """The writes that are not known to be on the disk."""

    _new: list[Range] = attrs.field(factory=list, init=False)
    """Write-out has not begun; ``_new_bytes`` in total."""
    _begun: deque[Range] = attrs.field(factory=deque, init=False)
    """Write-out has begun, oldest first; ``_begun_bytes`` in total."""
    _new_bytes: int = attrs.field(default=0, init=False)
    _begun_bytes: int = attrs.field(default=0, init=False)

    def wrote(self, offset: int, length: int) -> tuple[list[Range], list[Range]]:
        """Record a write; return the ranges whose write-out has to begin, and those to wait for."""
        self._new.append((offset, length))
        self._new_bytes += length
        begin: list[Range] = []
        if self._new_bytes >= START:
            begin = joined(self._new)
            self._begun.extend(self._new)
            self._begun_bytes += self._new_bytes
            self._new, self._new_bytes = [], 0
        wait: list[Range] = []
        while self._begun and self._new_bytes + self._begun_bytes > LIMIT:
            wait.append(self._begun.popleft())
            self._begun_bytes -= wait[-1][1]
        return begin, joined(wait)
