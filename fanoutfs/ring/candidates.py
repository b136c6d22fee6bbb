"""R1 and R1a: the candidates for the next read, in the order in which they are tried. No I/O, no clock.

The sweep's candidates are the first absent block of each look-ahead and of each request beyond it, nearest
ahead of the head first. The detours' candidates are the overdue requests, the longest-waiting first.

A candidate that can't be read now is skipped. In a crowd that waits, that is nearly every one. So a position
that R3 is known to stop is skipped here, before any work is done for it; but not the nearest of the sweep, on
which it depends whether an overdue request is a detour.
"""

from collections.abc import Iterator
from heapq import merge

import attrs

from fanoutfs.ring.cursor import Position, Request, Requests
from fanoutfs.ring.cursors import Cursors
from fanoutfs.ring.decision import ReadCandidate
from fanoutfs.ring.intake import Intake
from fanoutfs.ring.look_ahead import LookAhead
from fanoutfs.ring.pace import Pace
from fanoutfs.ring.residency import Residency


@attrs.define(eq=False, kw_only=True)
class Candidates:
    """The candidates of one decision."""

    head: int
    run: int
    """Most blocks in one read."""
    cursors: Cursors
    residency: Residency
    ahead: LookAhead
    requests: Requests
    pace: Pace
    intake: Intake

    def in_turn(self, overdue: list[Request], *, detours_first: bool) -> Iterator[ReadCandidate]:
        """R1a: yield detours first, unless they have had more of the source's time than the sweep."""
        sweep = self._sweep()
        if not detours_first:
            yield from sweep
            yield from self._detours(overdue)
            return
        nearest = next(sweep, None)
        # A block that the sweep can read next is not a detour.
        if nearest is not None and self._is_among(nearest.block, overdue):
            yield nearest
        yield from self._detours(overdue)
        if nearest is not None:
            yield nearest
            yield from sweep

    def _ahead_of_head(self, candidate: ReadCandidate) -> int:
        return (candidate.block - self.head) % self.cursors.blocks

    def _sweep(self) -> Iterator[ReadCandidate]:
        """R1: yield the sweep's candidates, nearest ahead of the head first."""
        requested = sorted(self._asked_for(), key=self._ahead_of_head)
        return merge(self._looked_ahead_for(), requested, key=self._ahead_of_head)

    def _looked_ahead_for(self) -> Iterator[ReadCandidate]:
        """Yield the first absent block of each look-ahead, or of both its parts if the head is inside."""
        straddling = [
            candidate
            for position, distance in self.cursors.behind(self.head, self.run + self.ahead.blocks)
            for candidate in self._candidates(
                position, position.block + distance, position.block + self.ahead.of(position)
            )
        ]
        yield from sorted(straddling, key=self._ahead_of_head)
        nearest = not straddling
        for position in self.cursors.may_want_from(self.head):
            # The nearest is yielded in any case: which requests are detours depends on it.
            if not nearest and self._is_stopped(position):
                continue
            window = self.ahead.of(position)
            to_head = (self.head - position.block) % self.cursors.blocks or self.cursors.blocks
            candidates = list(
                self._candidates(position, position.block, position.block + min(to_head, window))
            )
            if not candidates and window <= to_head:
                self.cursors.satisfied(position)
            nearest = nearest and not candidates
            yield from candidates

    def _asked_for(self) -> Iterator[ReadCandidate]:
        """Yield the requests of sequential consumers beyond the block of their cursor."""
        slot_of = self.residency.slot_of
        for request in self.requests.beyond:
            position = request.cursor.position
            # A request behind the cursor came late, and is for a detour. The cursor's own block is in the
            # look-ahead.
            if position is None or request.at < request.cursor.block:
                continue
            if request.at > request.cursor.block or position.block in slot_of:
                begin = request.at - self.intake.lacking_before(request.at % self.cursors.blocks)
                yield from self._candidates(position, begin, request.last + 1, requested=True)

    def _candidates(
        self,
        position: Position | None,
        begin: int,
        end: int,
        *,
        requested: bool = False,
        detour: bool = False,
    ) -> Iterator[ReadCandidate]:
        """Yield the first absent block from ``begin`` to before ``end``, unrolled, if there is one."""
        block = self.residency.absent(begin, end) if begin < end else None
        if block is not None:
            most = end - begin - (block - begin) % self.cursors.blocks
            yield ReadCandidate(block, most, position, requested or block in self.requests.at, detour)

    def _detours(self, overdue: list[Request]) -> Iterator[ReadCandidate]:
        """R1a: yield the absent blocks of overdue requests, in the order of the requests."""
        tried: set[tuple[int, Position | None]] = set()
        for request in overdue:
            position = request.cursor.position
            if position is not None and request.at == request.cursor.block and self._is_stopped(position):
                continue
            for candidate in self._candidates(
                position, request.at, request.last + 1, requested=True, detour=True
            ):
                if (candidate.block, position) not in tried:
                    tried.add((candidate.block, position))
                    yield candidate

    def _is_among(self, block: int, requests: list[Request]) -> bool:
        """Return whether an absent block is the first one that any of these requests lacks."""
        slot_of = self.residency.slot_of
        for request in requests:
            at = request.at % self.cursors.blocks
            if at == block or (
                at in slot_of and self.residency.absent(request.at, request.last + 1) == block
            ):
                return True
        return False

    def _is_stopped(self, position: Position) -> bool:
        """Return whether a position's own block is absent, requested there, and held back by R3."""
        block = position.block
        if block in self.residency.slot_of or block not in self.requests.at:
            return False
        return self.pace.stopped_by(position) is not None
