"""A consumer, its position and its requests as the rules see them. No I/O, no clock.

A consumer's blocks are counted *unrolled*: an ``image`` reader goes from its offset to N, the number of the
image's blocks; a wrapping one that started at s goes from s to s + N. The real block is that modulo N.
"""

import math
from collections import Counter

import attrs


@attrs.define(eq=False)
class Request:
    """A waiting request: it still lacks the blocks from ``at`` to ``last`` (inclusive, unrolled)."""

    cursor: "Cursor"
    at: int
    last: int
    since: float
    urgent: bool


@attrs.define(eq=False)
class Cursor:
    """A consumer as the rules see it; unrolled blocks, and seconds."""

    id: int
    block: int
    """The block of its next byte; ``end`` once it has everything."""
    end: int
    """One past the last block that it needs."""
    sequential: bool = False
    """It reads straight on: it has a look-ahead, and R3 applies to it."""
    taken_at: float = -math.inf
    fresh: bool = attrs.field(default=True, init=False)
    """It has been given nothing since it was opened or has jumped: its next request is urgent."""
    requests: list[Request] = attrs.field(factory=list, init=False)
    position: "Position | None" = attrs.field(default=None, init=False)
    """Its position at the last ``Cursors.settle``, if it had one."""
    queued: bool = attrs.field(default=False, init=False)
    """It is in the queue of consumers that may become dormant."""


@attrs.define(eq=False)
class Position:
    """A real block at which there are live sequential consumers; never empty."""

    block: int
    cursors: set[Cursor] = attrs.field(factory=set, init=False)
    need: int = attrs.field(default=0, init=False)
    """The most blocks, from its own on, that one of its consumers still needs."""


@attrs.define(eq=False)
class Requests:
    """All waiting requests; the longest-waiting first."""

    blocks: int
    """The image's blocks."""
    turn: float
    """Seconds after which a request that is not urgent is overdue."""
    at: Counter[int] = attrs.field(factory=Counter, init=False)
    """How many requests wait at each real block."""
    beyond: dict[Request, None] = attrs.field(factory=dict, init=False)
    """The requests of sequential consumers that go beyond the block of the consumer's cursor."""
    _urgent: dict[Request, None] = attrs.field(factory=dict, init=False)
    _patient: dict[Request, None] = attrs.field(factory=dict, init=False)

    def enter(self, request: Request) -> None:
        """Register a request that has to wait."""
        cursor = request.cursor
        cursor.requests.append(request)
        (self._urgent if request.urgent else self._patient)[request] = None
        if cursor.sequential and request.last > cursor.block:
            self.beyond[request] = None
        self.at[request.at % self.blocks] += 1

    def advance(self, request: Request, at: int) -> None:
        """Record that a request was given its blocks before ``at``."""
        self._leave(request.at)
        request.at = at
        self.at[at % self.blocks] += 1

    def remove(self, request: Request) -> None:
        """Remove a request that was answered or given up."""
        request.cursor.requests.remove(request)
        for requests in (self._urgent, self._patient, self.beyond):
            requests.pop(request, None)
        self._leave(request.at)

    def shorten(self, blocks: int) -> None:
        """Shorten the image to fewer blocks."""
        self.blocks = blocks
        self.at.clear()
        self.at.update(request.at % blocks for request in (*self._urgent, *self._patient))

    def _leave(self, at: int) -> None:
        block = at % self.blocks
        self.at[block] -= 1
        if not self.at[block]:
            del self.at[block]

    def overdue(self, now: float) -> tuple[list[Request], float]:
        """R1a: return the overdue requests, and the time (seconds) at which the next one will be overdue."""
        found, until = list(self._urgent), math.inf
        for request in self._patient:
            if now < request.since + self.turn:
                until = request.since + self.turn
                break
            found.append(request)
        return sorted(found, key=lambda request: request.since), until
