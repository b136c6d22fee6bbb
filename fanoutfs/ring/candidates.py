"""R1 and R1a: what is wanted, in the order in which it is tried. No I/O, no clock.

The sweep wants the first absent block of each look-ahead, and of what was asked for beyond it; the nearest
ahead of the head comes first. Detours want what was asked for and is overdue; the request that has waited
longest comes first.

What can't be read now is passed over. In a crowd that waits that is nearly all of it. So a spot that R3 is
known to stop is passed over here, before anything is worked out for it; but not the nearest of the sweep,
which decides whether a detour is one.
"""

from collections.abc import Iterator
from heapq import merge

import attrs

from fanoutfs.ring.cursor import Position, Request, Requests
from fanoutfs.ring.cursors import Cursors
from fanoutfs.ring.decision import ReadCandidate
from fanoutfs.ring.look_ahead import LookAhead
from fanoutfs.ring.pace import Pace
from fanoutfs.ring.residency import Residency


@attrs.define(eq=False, kw_only=True)
class Candidates:
    """What is wanted, for one decision."""

    head: int
    run: int
    """Most blocks in one read."""
    order: Cursors
    residency: Residency
    ahead: LookAhead
    asks: Requests
    pace: Pace

    def in_turn(self, overdue: list[Request], *, detours_first: bool) -> Iterator[ReadCandidate]:
        """R1a: yield detours first, unless they have had more of the source's time than the sweep."""
        sweep = self._sweep()
        if not detours_first:
            yield from sweep
            yield from self._detours(overdue)
            return
        nearest = next(sweep, None)
        # What the sweep can read next is no detour.
        if nearest is not None and self._is_among(nearest.block, overdue):
            yield nearest
        yield from self._detours(overdue)
        if nearest is not None:
            yield nearest
            yield from sweep

    def _ahead_of_head(self, want: ReadCandidate) -> int:
        return (want.block - self.head) % self.order.blocks

    def _sweep(self) -> Iterator[ReadCandidate]:
        """R1: yield what is wanted, nearest ahead of the head first."""
        asked = sorted(self._asked_for(), key=self._ahead_of_head)
        return merge(self._looked_ahead_for(), asked, key=self._ahead_of_head)

    def _looked_ahead_for(self) -> Iterator[ReadCandidate]:
        """Yield the first absent block of each look-ahead; of one that the head is in, on both its sides."""
        straddling = [
            want
            for spot, distance in self.order.behind(self.head, self.run + self.ahead.blocks)
            for want in self._want(spot, spot.block + distance, spot.block + self.ahead.of(spot))
        ]
        yield from sorted(straddling, key=self._ahead_of_head)
        nearest = not straddling
        for spot in self.order.hungry_from(self.head):
            # The nearest is told in any case: it has a say in which detours are none.
            if not nearest and self._is_stopped(spot):
                continue
            window = self.ahead.of(spot)
            to_head = (self.head - spot.block) % self.order.blocks or self.order.blocks
            wants = list(self._want(spot, spot.block, spot.block + min(to_head, window)))
            if not wants and window <= to_head:
                self.order.sated(spot)
            nearest = nearest and not wants
            yield from wants

    def _asked_for(self) -> Iterator[ReadCandidate]:
        """Yield what counting consumers have asked for beyond the block where they stand."""
        slot_of = self.residency.slot_of
        for ask in self.asks.beyond:
            spot = ask.point.spot
            # Asked for behind its point is what came late; that is for a detour. The block where it stands
            # is looked ahead for.
            if spot is None or ask.at < ask.point.block:
                continue
            if ask.at > ask.point.block or spot.block in slot_of:
                yield from self._want(spot, ask.at, ask.last + 1, asked=True)

    def _want(
        self, spot: Position | None, begin: int, end: int, *, asked: bool = False, detour: bool = False
    ) -> Iterator[ReadCandidate]:
        """Yield the first absent block from ``begin`` to before ``end``, unrolled, if there is one."""
        block = self.residency.absent(begin, end) if begin < end else None
        if block is not None:
            most = end - begin - (block - begin) % self.order.blocks
            yield ReadCandidate(block, most, spot, asked or block in self.asks.at, detour)

    def _detours(self, overdue: list[Request]) -> Iterator[ReadCandidate]:
        """R1a: what was asked for and is past its time, in the order of the requests."""
        tried: set[tuple[int, Position | None]] = set()
        for ask in overdue:
            spot = ask.point.spot
            if spot is not None and ask.at == ask.point.block and self._is_stopped(spot):
                continue
            for want in self._want(spot, ask.at, ask.last + 1, asked=True, detour=True):
                if (want.block, spot) not in tried:
                    tried.add((want.block, spot))
                    yield want

    def _is_among(self, block: int, asks: list[Request]) -> bool:
        """Return whether an absent block is the first that one of these requests lacks."""
        slot_of = self.residency.slot_of
        for ask in asks:
            at = ask.at % self.order.blocks
            if at == block or (at in slot_of and self.residency.absent(ask.at, ask.last + 1) == block):
                return True
        return False

    def _is_stopped(self, spot: Position) -> bool:
        """Return whether those at a spot ask for the block there, which is absent, and may not have it."""
        block = spot.block
        if block in self.residency.slot_of or block not in self.asks.at:
            return False
        return self.pace.stopped_by(spot) is not None
