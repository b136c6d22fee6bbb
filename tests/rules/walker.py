"""A reader of the naive world, and its request."""

import math

import attrs

from fanoutfs.ring.cursor import Cursor, Request


@attrs.define(eq=False)
class PendingRequest:
    """A reader's request for blocks ``at`` to ``last``, unrolled; a straggler's lie behind its place."""

    request: Request
    at: int
    last: int
    since: float
    urgent: bool
    straggler: bool = False


@attrs.define(eq=False)
class Walker:
    """A reader of the world; ``had`` are the blocks it got since it began or jumped, in order."""

    cursor: Cursor
    place: int
    end: int
    wraps: bool
    sequential: bool = False
    fresh: bool = True
    taken_at: float = -math.inf
    request: PendingRequest | None = None
    had: list[int] = attrs.field(factory=list)
    began: int = 0
    borrows: bool = False
    """It copies out of the ring itself: blocks are granted to it, and it frees them later."""
    held: list[int] = attrs.field(factory=list)
    """The slots of the granted blocks that it has not freed, from its place on."""

    @property
    def request_is_late(self) -> bool:
        """Whether it requests a block behind its place."""
        return self.request is not None and self.request.straggler

    @property
    def granted(self) -> range:
        """The granted blocks that it has not freed, unrolled."""
        return range(self.place, self.place + len(self.held))

    @property
    def done(self) -> bool:
        """Whether it has read everything."""
        return self.place >= self.end
