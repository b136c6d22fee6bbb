"""What the source can give now, in real blocks. No I/O, no clock.

Most sources give any block at any time. A pipe without a spool gives each block once, in order: of those
before ``next`` only what is in the ring is left, and what was ``kept`` in a spool that is full by now. A pipe
with a spool gives any block, but may have to wait for those from ``dry_from`` on: they have not come yet.
"""

import attrs

from fanoutfs.errors import GoneError
from fanoutfs.ring.cursor import Request
from fanoutfs.ring.decision import ReadCandidate
from fanoutfs.ring.residency import Residency


@attrs.define(eq=False)
class Intake:
    """The blocks that can be read."""

    in_order: bool = False
    """The source gives the blocks from ``next`` on once, in order; those before ``kept`` at any time."""
    next: int = 0
    """The first block that was not read yet, if ``in_order``."""
    kept: int = 0
    dry_from: int | None = None
    """The first block that has not come yet, while the producer waits for that; None: it does not wait."""

    def go_in_order(self, kept: int, following: int) -> None:
        """Record that from now on only the blocks before ``kept`` can be read at any time."""
        self.in_order, self.kept, self.next = True, kept, following

    def passed(self, blocks: range) -> None:
        """Record a finished read."""
        if blocks.start <= self.next < blocks.stop:
            self.next = blocks.stop

    def most(self, candidate: ReadCandidate, blocks: int) -> int:
        """Return how many blocks, from a candidate's first on, can be read now; 0: it can't be read.

        ``blocks`` are those of the image.
        """
        block, end = candidate.block, blocks
        if self.in_order and block < self.kept:
            end = self.kept
        elif self.in_order and (block != self.next or candidate.position is None):
            # What a reader that jumps will need is not known, and it would be gone for others.
            return 0
        if self.dry_from is not None:
            end = min(end, self.dry_from)
        return max(0, end - block)

    def lacking_before(self, block: int) -> int:
        """Return how many blocks have to be read before this one, because the source gives them in order."""
        return max(0, block - self.next) if self.in_order and block >= self.kept else 0

    def is_gone(self, block: int) -> bool:
        """Return whether a block that is not in the ring can't be read any more."""
        return self.in_order and self.kept <= block < self.next

    def can_be_read_again(self, block: int) -> bool:
        """Return whether a real block can be read more than once."""
        return not self.in_order or block < self.kept

    def is_out_of_reach(self, request: Request, block: int, slots: int) -> bool:
        """Return whether a source that gives its blocks in order won't give a request's first, absent one.

        That is the real ``block``. It is gone, or too far ahead: the source is not read on for a reader that
        jumps, nor farther than a ring of ``slots`` can hold what the reader lacks in between and does not
        request.
        """
        if self.can_be_read_again(block):
            return False
        cursor = request.cursor
        if block < self.next or not cursor.sequential:
            return True
        too_far = request.at - cursor.block > slots // 2
        return too_far and not any(other.at <= cursor.block for other in cursor.requests)

    def require_beginning(self, residency: Residency) -> None:
        """Raise GoneError if a consumer that begins now could not have the whole image."""
        begin = self.kept
        if self.in_order and residency.first_absent(begin, max(begin, self.next)) is not None:
            raise GoneError(
                "the source is a pipe, and its beginning has gone by; start readers together, or keep what "
                "was read: --spool DIR"
            )

    def gone_error(self, block: int, block_size: int) -> GoneError:
        """Return the error of a request that is out of reach for a block, with the bytes of a block."""
        what = "has gone by" if self.is_gone(block) else "is too far ahead"
        return GoneError(
            f"the source is a pipe, and byte {block * block_size} of it {what}; start readers together, or "
            "keep what was read: --spool DIR"
        )
