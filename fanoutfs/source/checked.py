"""A source with checksums of some of its ranges, which are checked as the bytes are read.

A checksum is of a whole range, in order, and its bytes may be read in any order, in pieces, more than once.
So each range is hashed as far as it was read from its beginning on; what was read ahead of that is
remembered, and read once more when the hash gets there::

    range   |=======hashed======>|       |--read--|            |
                                 ^ the next read is hashed, then "read" is read again and hashed

The read that completes a range fails if the checksum is wrong, and so does every later read of the range: no
copy gets all of it. Bytes that are read more than once must be the same each time, or that read fails: what
was given out is what was hashed. That is seen by a CRC of each cell of CELL bytes that was read as a whole.
"""

import hashlib
import mmap
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NoReturn

import attrs

from fanoutfs.errors import reason
from fanoutfs.ranges import Range
from fanoutfs.source.contract import LostError
from fanoutfs.source.local import cut
from fanoutfs.source.wrapper import Wrapper
from fanoutfs.units import KIB, MIB, PAGE

if TYPE_CHECKING:
    from hashlib import _Hash

CELL = 64 * KIB
"""Bytes. Reads begin and end at multiples of it, unless blocks are smaller, or around bad places."""

AGAIN = MIB
"""Bytes that are read at a time where a range is read again."""


class ChecksumError(LostError):
    """The bytes of a range are not those of its checksum."""


@attrs.frozen
class RangeChecksum:
    """The checksum of the bytes [begin, end)."""

    begin: int
    end: int
    algorithm: str
    """As of hashlib."""
    digest: str
    """In hexadecimal digits, lower case."""


@attrs.define(eq=False)
class _Progress:
    """How far a range was hashed."""

    checksum: RangeChecksum
    hasher: "_Hash"
    hashed: int
    """One past the last byte that was hashed."""
    cells: "array[int]"
    """The CRC of each cell, with its lowest bit set; 0: not known."""
    ahead: list[Range] = attrs.field(factory=list)
    """What was read beyond, as (begin, end): ascending, disjoint."""
    trouble: str = ""
    """Why no byte of it may be used."""

    @classmethod
    def of(cls, checksum: RangeChecksum) -> "_Progress":
        cells = -(-checksum.end // CELL) - checksum.begin // CELL
        hasher = hashlib.new(checksum.algorithm, usedforsecurity=False)
        return cls(checksum, hasher, checksum.begin, array("I", bytes(4 * cells)))

    def fail(self, what: str) -> NoReturn:
        """Refuse the range from now on."""
        self.trouble = f"bytes {self.checksum.begin} to before {self.checksum.end} {what}"
        raise ChecksumError(None, self.trouble)


@attrs.define(eq=False)
class CheckedSource(Wrapper):
    """A source whose ranges are checked."""

    _checksums: Sequence[RangeChecksum]
    """Ascending, disjoint."""
    _begins: list[int] = attrs.field(init=False)
    _progress: dict[int, _Progress] = attrs.field(factory=dict, init=False)

    @_begins.default
    def _set_begins(self) -> list[int]:
        return [checksum.begin for checksum in self._checksums]

    def data(self) -> None:
        """Return None: holes within a range belong to its checksum, and are read."""

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        """See ``Source.read_into``. Raises ChecksumError for bytes that are not those of their checksum."""
        concerned = list(self._within(offset, offset + length))
        for progress in concerned:
            if progress.trouble:
                raise ChecksumError(None, progress.trouble)
        self.source.read_into(offset, length, slots)
        for progress in concerned:
            begin = max(offset, progress.checksum.begin)
            end = min(offset + length, progress.checksum.end)
            self._compare(progress, begin, cut(slots, begin - offset, end - offset))
            self._hash(progress, begin, end, cut(slots, begin - offset, end - offset))

    def _within(self, begin: int, end: int) -> Iterator[_Progress]:
        """Return the ranges that share bytes with [begin, end)."""
        for i in range(max(0, bisect_right(self._begins, begin) - 1), len(self._checksums)):
            checksum = self._checksums[i]
            if checksum.begin >= end:
                return
            if checksum.end > begin:
                if i not in self._progress:
                    self._progress[i] = _Progress.of(checksum)
                yield self._progress[i]

    def _compare(self, progress: _Progress, begin: int, views: list[memoryview]) -> None:
        """Compare bytes with what was read there before. Raise ChecksumError."""
        checksum = progress.checksum
        end = begin + sum(map(len, views))
        first = checksum.begin // CELL
        for cell in range(begin // CELL, -(-end // CELL)):
            # The part of the cell that belongs to the range: always the same.
            low, high = max(cell * CELL, checksum.begin), min((cell + 1) * CELL, checksum.end)
            if begin <= low and high <= end:
                crc = 0
                for view in cut(views, low - begin, high - begin):
                    crc = zlib.crc32(view, crc)
                known, progress.cells[cell - first] = progress.cells[cell - first], crc | 1
                if known not in (0, crc | 1):
                    progress.fail("have changed since they were read first")

    def _hash(self, progress: _Progress, begin: int, end: int, views: list[memoryview]) -> None:
        """Hash what was read, as far as it is next; at the end of the range, compare. Raise OSError."""
        if begin > progress.hashed:
            progress.ahead = _with(progress.ahead, begin, end)
            return
        if end <= progress.hashed:
            return
        for view in cut(views, progress.hashed - begin, end - begin):
            progress.hasher.update(view)
        progress.hashed = end
        self._hash_ahead(progress)
        if (
            progress.hashed == progress.checksum.end
            and progress.hasher.hexdigest() != progress.checksum.digest
        ):
            algorithm = progress.checksum.algorithm
            progress.fail(f"do not have the {algorithm} checksum that the map lists")

    def _hash_ahead(self, progress: _Progress) -> None:
        """Read again, and hash, what was read ahead and is next."""
        while progress.ahead and progress.ahead[0][0] <= progress.hashed:
            end = progress.ahead[0][1]
            if end <= progress.hashed:
                progress.ahead.pop(0)
                continue
            memory = memoryview(mmap.mmap(-1, AGAIN))
            while progress.hashed < end:
                begin = progress.hashed - progress.hashed % PAGE
                stop = min(end, begin + AGAIN)
                slots = [memory[: -(-(stop - begin) // PAGE) * PAGE]]
                try:
                    self.source.read_into(begin, stop - begin, slots)
                except OSError as error:
                    # It was given out, and now nothing is known about it.
                    progress.fail(f"can't be read again to be checked: {reason(error)}")
                part = memory[progress.hashed - begin : stop - begin]
                self._compare(progress, progress.hashed, [part])
                progress.hasher.update(part)
                progress.hashed = stop


def _with(ranges: list[Range], begin: int, end: int) -> list[Range]:
    """Return ascending, disjoint ranges (begin, end) together with one more."""
    before = [range_ for range_ in ranges if range_[1] < begin]
    after = [range_ for range_ in ranges if range_[0] > end]
    touched = ranges[len(before) : len(ranges) - len(after)]
    low = min([begin, *(range_[0] for range_ in touched)])
    high = max([end, *(range_[1] for range_ in touched)])
    return [*before, (low, high), *after]
