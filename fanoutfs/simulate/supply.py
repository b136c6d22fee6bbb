"""Where a machine's producer reads: its own disk, or the image of the node above."""

from collections.abc import Callable
from typing import Protocol

import attrs

from fanoutfs.simulate.clock import Clock, Settles


class Supply(Protocol):
    """What a producer reads from, one read at a time."""

    def read(self, owner: Settles, blocks: range, size: int, done: Callable[[], None]) -> None:
        """Schedule ``done`` for ``owner`` when these real blocks, of ``size`` bytes, have been read."""


@attrs.define(eq=False)
class Disk:
    """A source with a rate in bytes per second, and seconds for each seek."""

    clock: Clock
    rate: float
    seek_time: float
    seeks: int = attrs.field(default=0, init=False)
    bytes: int = attrs.field(default=0, init=False)
    """Bytes read from it."""
    _adjoins: int | None = attrs.field(default=None, init=False)
    """The block that it can read next without a seek."""

    def read(self, owner: Settles, blocks: range, size: int, done: Callable[[], None]) -> None:
        """Read the blocks, after a seek if they do not adjoin the ones before."""
        seconds = size / self.rate
        if self._adjoins not in (None, blocks.start):
            self.seeks += 1
            seconds += self.seek_time
        self._adjoins = blocks.stop
        self.bytes += size
        self.clock.at(self.clock.now + seconds, owner, done)
