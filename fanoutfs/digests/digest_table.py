"""The digests of an image's blocks, as far as they are known, and in which order they became known. Pure.

A block has a digest, or it is *bad* (it could not be read), or nothing is known of it. A digest once known
stays known: a block that can't be read later keeps the digest that it had when it could.

The *journal* of a table is the blocks in the order in which something became known of them. Whoever follows
a table has a place in it, and needs nothing else: one who comes late goes through it from the beginning, one
who is slow through what has come meanwhile.
"""

import mmap
from array import array
from enum import Enum, auto
from itertools import compress

import attrs

from fanoutfs.digests.digest import DIGEST_SIZE

MOST_BLOCKS = 64 * 1024 * 1024
"""A table of so many blocks takes 1 GiB for digests, and half as much again for its journal."""

_UNKNOWN, _BAD, _KNOWN = range(3)

Place = tuple[int, int]
"""Where somebody is in a journal: which one, and how many of its blocks they have had."""

BEGIN: Place = (0, 0)


class Entered(Enum):
    """What entering something has done."""

    NOTHING = auto()
    """It was known, or the block had a digest and is bad now."""
    NEWS = auto()
    CHANGED = auto()
    """The block had another digest."""


@attrs.define(eq=False)
class DigestTable:
    """DIGEST_SIZE bytes for each of ``blocks``; memory is taken page by page as it is filled in."""

    blocks: int
    _digests: mmap.mmap = attrs.field(init=False)
    _states: mmap.mmap = attrs.field(init=False)
    _journal: "array[int]" = attrs.field(factory=lambda: array("Q"), init=False)
    _number: int = attrs.field(default=0, init=False)
    """Of the journal: it was begun anew so often."""

    def __attrs_post_init__(self) -> None:
        assert 0 < self.blocks <= MOST_BLOCKS
        self._digests = mmap.mmap(-1, self.blocks * DIGEST_SIZE)
        self._states = mmap.mmap(-1, self.blocks)

    def get(self, block: int) -> bytes | None:
        """Give a block's digest, if it is known."""
        if self._states[block] != _KNOWN:
            return None
        return self._digests[block * DIGEST_SIZE : (block + 1) * DIGEST_SIZE]

    def enter(self, block: int, digest: bytes | None) -> Entered:
        """Note a block's digest, or, with None, that it is bad."""
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
        """Write the next ``most`` entries from a place on, and give the place behind them.

        A line is ``BLOCK HEX``, or ``BLOCK -`` for a bad one. Who was in a journal that is gone gets all
        again.
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
            # Many blocks have changed, or come again: it must not grow for ever.
            self._journal = array("Q", compress(range(self.blocks), self._states))
            self._number += 1
            return
        self._journal.append(block)


def parse_line(line: bytes) -> tuple[int, bytes | None]:
    """Read what ``lines`` writes, without the line's end; raises ValueError for anything else."""
    number, _, said = line.partition(b" ")
    if not number.isdigit() or len(number) > 20:  # noqa: PLR2004 (digits of what 64 bits hold)
        raise ValueError("it does not begin with a block's number")
    if said == b"-":
        return int(number), None
    if len(said) != 2 * DIGEST_SIZE:
        raise ValueError("it has no digest")
    # ASCII first: what bytes.fromhex skips would be another digest.
    digest = bytes.fromhex(said.decode("ascii"))
    if len(digest) != DIGEST_SIZE:
        raise ValueError("it has no digest")
    return int(number), digest
