"""A reader of the naive world, and what it waits for."""

import math

import attrs

from fanoutfs.ring.cursor import Cursor, Request


@attrs.define(eq=False)
class PendingRequest:
    """What a reader waits for: blocks ``at`` to ``last``, unrolled; a straggler's lie behind its place."""

    request: Request
    at: int
    last: int
    since: float
    urgent: bool
    straggler: bool = False


@attrs.define(eq=False)
class Walker:
    """A reader of the world; ``had`` is every block that it was given since it began or jumped, in order."""

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
    """It copies out of the ring itself: blocks are granted to it, and freed by it later."""
    hand: list[int] = attrs.field(factory=list)
    """The slots of what it was granted and has not freed: of the blocks from its place on."""

    @property
    def request_is_late(self) -> bool:
        """What it asks for lies behind its place."""
        return self.request is not None and self.request.straggler

    @property
    def granted(self) -> range:
        """The blocks that it has in hand, unrolled."""
        return range(self.place, self.place + len(self.hand))

    @property
    def done(self) -> bool:
        """It has had everything."""
        return self.place >= self.end
