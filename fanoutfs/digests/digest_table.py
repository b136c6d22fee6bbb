"""The known digests of an image's blocks, and the order in which they became known. No I/O, no clock.

A block has a digest, or it is *bad* (it could not be read), or unknown. A known digest stays known: a block
that can't be read later keeps its digest.

The *journal* of a table has the blocks in the order in which they became known or changed. A follower of the
table needs only a place in the journal: a late follower goes through it from the beginning, a slow one
through what has been added meanwhile.
"""

import mmap
from array import array
from enum import Enum, auto
from itertools import compress

import attrs

from fanoutfs.digests.digest import DIGEST_SIZE

MOST_BLOCKS = 64 * 1024 * 1024
"""The largest table: it takes 1 GiB for digests, and half as much for its journal."""

_UNKNOWN, _BAD, _KNOWN = range(3)

Place = tuple[int, int]
"""A follower's place: the number of the journal, and how many of its blocks it has received."""

BEGIN: Place = (0, 0)


class Entered(Enum):
    """What an entry has changed."""

    NOTHING = auto()
    """It was known already, or the block had a digest and is bad now."""
    NEWS = auto()
    CHANGED = auto()
    """The block had a different digest."""


@attrs.define(eq=False)
class DigestTable:
    """DIGEST_SIZE bytes for each of ``blocks``; memory is allocated page by page as entries come."""

    blocks: int
    _digests: mmap.mmap = attrs.field(init=False)
    _states: mmap.mmap = attrs.field(init=False)
    _journal: "array[int]" = attrs.field(factory=lambda: array("Q"), init=False)
    _number: int = attrs.field(default=0, init=False)
    """The journal's number: how often it was rewritten."""

    def __attrs_post_init__(self) -> None:
        assert 0 < self.blocks <= MOST_BLOCKS
        self._digests = mmap.mmap(-1, self.blocks * DIGEST_SIZE)
        self._states = mmap.mmap(-1, self.blocks)

    def get(self, block: int) -> bytes | None:
        """Return a block's digest, if it is known."""
        if self._states[block] != _KNOWN:
            return None
        return self._digests[block * DIGEST_SIZE : (block + 1) * DIGEST_SIZE]

    def enter(self, block: int, digest: bytes | None) -> Entered:
        """Record a block's digest, or, with None, that the block is bad."""
        before = self._states[block]
        if digest is None:
            if before != _UNKNOWN:
                return Entered.NOTHING
            self._states[block] = _BAD
            self._note(block)
            return Entered.NEWS
        had = self.get(block)
        if had == digest:
            return Entered.NOTHING
        self._digests[block * DIGEST_SIZE : (block + 1) * DIGEST_SIZE] = digest
        self._states[block] = _KNOWN
        self._note(block)
        return Entered.NEWS if had is None else Entered.CHANGED

    def lines(self, place: Place, most: int) -> tuple[bytes, Place]:
        """Return the next ``most`` entries from a place on as lines, and the place after them.

        A line is ``BLOCK HEX``, or ``BLOCK -`` for a bad block. A place in a replaced journal gets every
        entry again.
        """
        number, at = place
        if number != self._number:
            at = 0
        blocks = self._journal[at : at + most]
        return b"".join(map(self._line, blocks)), (self._number, at + len(blocks))

    def _line(self, block: int) -> bytes:
        digest = self.get(block)
        return b"%d %s\n" % (block, b"-" if digest is None else digest.hex().encode())

    def _note(self, block: int) -> None:
        if len(self._journal) >= 2 * self.blocks:
            # Many blocks have changed: rewrite it, so that it does not grow for ever.
            self._journal = array("Q", compress(range(self.blocks), self._states))
            self._number += 1
            return
        self._journal.append(block)


def parse_line(line: bytes) -> tuple[int, bytes | None]:
    """Parse a line of ``lines``, without its line end; raise ValueError for anything else."""
    number, _, text = line.partition(b" ")
    if not number.isdigit() or len(number) > 20:  # noqa: PLR2004 (the digits of a 64-bit number)
        raise ValueError("it does not begin with a block's number")
    if text == b"-":
        return int(number), None
    if len(text) != 2 * DIGEST_SIZE:
        raise ValueError("it has no digest")
    # Check the length again: bytes.fromhex skips whitespace.
    digest = bytes.fromhex(text.decode("ascii"))
    if len(digest) != DIGEST_SIZE:
        raise ValueError("it has no digest")
    return int(number), digest
