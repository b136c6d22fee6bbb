"""Where a machine's producer reads: a disk of its own, or the image of the node above."""

from collections.abc import Callable
from typing import Protocol

import attrs

from fanoutfs.simulate.clock import Clock, Settles


class Supply(Protocol):
    """What a producer reads from, one read at a time."""

    def read(self, whom: Settles, blocks: range, size: int, done: Callable[[], None]) -> None:
        """Have ``done`` happen to ``whom`` when so many bytes, which are these real blocks, are there."""


@attrs.define(eq=False)
class Disk:
    """A source with a rate in bytes per second, and seconds for each seek."""

    clock: Clock
    rate: float
    seek_time: float
    seeks: int = attrs.field(default=0, init=False)
    bytes: int = attrs.field(default=0, init=False)
    """That were read of it."""
    _adjoins: int | None = attrs.field(default=None, init=False)
    """The block with which it can go on without a seek."""

    def read(self, whom: Settles, blocks: range, size: int, done: Callable[[], None]) -> None:
        """Read them; a seek comes first where they don't adjoin the ones before."""
        seconds = size / self.rate
        if self._adjoins not in (None, blocks.start):
            self.seeks += 1
            seconds += self.seek_time
        self._adjoins = blocks.stop
        self.bytes += size
        self.clock.at(self.clock.now + seconds, whom, done)
