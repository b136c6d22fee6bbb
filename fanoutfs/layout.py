"""Which blocks of an image are read, and what the others are. No I/O, no clock.

An image is a row of blocks, and each of them is

    read      it holds data: it goes through the ring,
    zero      the source has a hole there, or ``--only-zero-rest`` asks for zeros: it is not read, and readers
              and targets get zeros,
    outside   ``--only`` leaves it out: it is not read, a target keeps what it has there, and a reader of the
              mount gets zeros.

The ring, its rules, grants and digests by slot know only the blocks that are read, which are numbered without
gaps: the *dense* numbers. Dense bytes are counted alike. Only the edges convert: what reads the source, what
answers a reader of the mount, what writes to a target, what is shown, and what goes to another computer::

    image   |0 1 2 3|. . .|7 8|. . . . .|14|          runs (0, 4), (7, 2), (14, 1)
    dense   |0 1 2 3|4 5|6|

The dense byte of an image's offset in a gap is that of the first byte after the gap. An image without gaps is
*whole*: dense numbers and those of the image are the same.

A conversion is a bisection of the runs. There are at most MOST_RUNS of them: of a source that has more, the
smallest gaps are read. The circle is never empty: of an image without data one block is read all the same.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Self

import attrs

from fanoutfs.ranges import Range

MOST_RUNS = 32768
"""Each producer tells them to each copy, in a message of some 400 KB."""

Run = tuple[int, int]
"""Blocks: the first one, and their number."""


@attrs.frozen
class Only:
    """What of an image is copied at all."""

    ranges: Sequence[Range]
    """In bytes; ascending, disjoint. They are rounded outwards to whole blocks."""
    zero_rest: bool = False
    """Whether all else becomes zeros on a target, instead of staying as it is."""


@attrs.frozen
class Span:
    """Bytes of an image that adjoin, [begin, end), and are all read, or all not read."""

    begin: int
    end: int
    dense: int | None
    """The dense byte of ``begin``; None: they are not read."""


def _first_blocks(layout: "Layout") -> list[int]:
    return [first for first, _ in layout.runs]


def _ends(layout: "Layout") -> list[int]:
    """Return for each run the dense block one past its last, after a 0."""
    found = [0]
    for _, count in layout.runs:
        found.append(found[-1] + count)
    return found


@attrs.frozen
class Layout:
    """The blocks of an image of ``size`` bytes, in blocks of ``block`` bytes; the last may be shorter."""

    size: int
    block: int
    runs: tuple[Run, ...]
    """The blocks that are read: ascending, disjoint, not adjoining, at least one."""
    outside: tuple[Run, ...] = ()
    """The blocks outside, likewise."""
    is_whole: bool = attrs.field(init=False, eq=False)
    """Whether every block is read."""
    read_size: int = attrs.field(init=False, eq=False)
    """Dense bytes."""
    _firsts: list[int] = attrs.field(
        init=False, eq=False, default=attrs.Factory(_first_blocks, takes_self=True)
    )
    _dense: list[int] = attrs.field(init=False, eq=False, default=attrs.Factory(_ends, takes_self=True))

    @is_whole.default
    def _set_is_whole(self) -> bool:
        return self.runs == ((0, self.image_blocks),)

    @read_size.default
    def _set_read_size(self) -> int:
        first, count = self.runs[-1]
        beyond = max(0, (first + count) * self.block - self.size)
        return sum(count for _, count in self.runs) * self.block - beyond

    @classmethod
    def whole(cls, size: int, block: int) -> Self:
        """Return the layout of an image of which every block is read."""
        return cls(size, block, ((0, -(-size // block)),))

    @classmethod
    def of(cls, size: int, block: int, data: Iterable[Range] | None, only: Only | None = None) -> Self:
        """Return the layout of an image whose ``data``, ascending ranges, may not be zeros; None: all.

        Raise ValueError if ``only`` leaves nothing.
        """
        everything = [(0, size)]
        inside = _few(_runs(everything if only is None else only.ranges, size, block))
        if not inside:
            raise ValueError("nothing of the image is to be copied")
        filled = _runs(everything if data is None else data, size, block)
        read = _few(_both(inside, filled)) or [(inside[0][0], 1)]
        outside = [] if only is None or only.zero_rest else _between(inside, -(-size // block))
        # Gaps between runs of ``read`` may have been closed.
        left_alone = _both(outside, _between(read, -(-size // block)))
        return cls(size, block, tuple(read), tuple(left_alone))

    @property
    def image_blocks(self) -> int:
        """The number of the image's blocks."""
        return -(-self.size // self.block)

    @property
    def blocks(self) -> int:
        """The number of blocks that are read."""
        return self._dense[-1]

    # From dense numbers to the image

    def image_block(self, dense: int) -> int:
        """Return the image's block with this dense number."""
        i = bisect_right(self._dense, dense) - 1
        return self._firsts[i] + dense - self._dense[i]

    def offset(self, dense: int) -> int:
        """Return the image's offset of a dense byte; of ``read_size``, the size of the image."""
        if dense == self.read_size:
            return self.size
        block, rest = divmod(dense, self.block)
        return self.image_block(block) * self.block + rest

    def end(self, dense: int) -> int:
        """Return one past the offset of the dense byte before this one: where a gap begins, not ends."""
        return 0 if dense == 0 else self.offset(dense - 1) + 1

    def adjoining(self, dense: int, count: int) -> Iterator[Run]:
        """Split ``count`` blocks that are read, from ``dense`` on, at gaps: yield the image's blocks."""
        while count > 0:
            i = bisect_right(self._dense, dense) - 1
            part = min(count, self._dense[i + 1] - dense)
            yield self._firsts[i] + dense - self._dense[i], part
            dense += part
            count -= part

    # From the image to dense numbers

    def dense_block(self, block: int) -> int:
        """Return the dense number of the first block that is read from this one on; ``blocks``: none is."""
        i = bisect_right(self._firsts, block) - 1
        return min(self._dense[i] + block - self._firsts[i], self._dense[i + 1]) if i >= 0 else 0

    def is_read(self, block: int) -> bool:
        """Return whether a block of the image is read."""
        i = bisect_right(self._firsts, block) - 1
        return i >= 0 and block - self._firsts[i] < self.runs[i][1]

    def dense(self, offset: int) -> int:
        """Return the dense byte of the first byte that is read, from this offset on, or ``read_size``."""
        block, rest = divmod(offset, self.block)
        within = rest if self.is_read(block) else 0
        return min(self.dense_block(block) * self.block + within, self.read_size)

    def span(self, offset: int) -> Span:
        """Return the bytes around an offset of the image that are all read, or all not read."""
        block = offset // self.block
        i = bisect_right(self._firsts, block) - 1
        if i >= 0:
            first, count = self.runs[i]
            if block < first + count:
                return Span(
                    first * self.block,
                    min((first + count) * self.block, self.size),
                    self._dense[i] * self.block,
                )
        begin = sum(self.runs[i]) if i >= 0 else 0
        end = self._firsts[i + 1] * self.block if i + 1 < len(self.runs) else self.size
        return Span(begin * self.block, end, None)

    def spans(self, offset: int, length: int) -> Iterator[Span]:
        """Yield the spans that these bytes consist of, cut to them."""
        end = offset + length
        while offset < end:
            span = self.span(offset)
            dense = None if span.dense is None else span.dense + offset - span.begin
            yield Span(offset, min(span.end, end), dense)
            offset = span.end

    # The blocks that are not read

    def gaps(self) -> list[Run]:
        """Return the blocks that are not read, ascending."""
        return _between(self.runs, self.image_blocks)

    def zeros(self) -> Iterator[Range]:
        """Yield the bytes of the zero blocks, ascending."""
        return self._ranges(_both(self.gaps(), _between(self.outside, self.image_blocks)))

    def left_alone(self) -> Iterator[Range]:
        """Yield the bytes of the blocks outside, ascending."""
        return self._ranges(self.outside)

    def data(self) -> Iterator[Range]:
        """Yield the bytes of the blocks that are read, ascending."""
        return self._ranges(self.runs)

    def copied(self) -> Iterator[Range]:
        """Yield the bytes of the blocks that are not outside, ascending."""
        return self._ranges(_between(self.outside, self.image_blocks))

    @property
    def copied_size(self) -> int:
        """Bytes that a target gets, zeros included."""
        return sum(length for _, length in self.copied())

    @property
    def has_first(self) -> bool:
        """Whether a target gets block 0."""
        return not (self.outside and self.outside[0][0] == 0)

    def _ranges(self, runs: Iterable[Run]) -> Iterator[Range]:
        for first, count in runs:
            begin = first * self.block
            yield begin, min(begin + count * self.block, self.size) - begin

    # On the wire

    def as_plain(self) -> dict[str, str] | None:
        """Return what a message carries, beside the sizes; None for a whole image."""
        return None if self.is_whole else {"runs": self._text, "outside": _as_text(self.outside)}

    @cached_property
    def _text(self) -> str:
        return _as_text(self.runs)

    @classmethod
    def from_plain(cls, size: int, block: int, plain: dict[str, str] | None) -> Self:
        """Return the layout from a message."""
        if plain is None:
            return cls.whole(size, block)
        return cls(size, block, _from_text(plain["runs"]), _from_text(plain["outside"]))


def _as_text(runs: Iterable[Run]) -> str:
    return " ".join(f"{first}+{count}" for first, count in runs)


def _from_text(text: str) -> tuple[Run, ...]:
    pairs = (run.split("+") for run in text.split())
    return tuple((int(first), int(count)) for first, count in pairs)


def _runs(ranges: Iterable[Range], size: int, block: int) -> list[Run]:
    """Return the blocks in which any of these bytes are."""
    found: list[Run] = []
    for offset, length in ranges:
        begin, end = max(0, offset) // block, -(-min(offset + length, size) // block)
        if found and begin <= sum(found[-1]):
            begin = found.pop()[0]
        if begin < end:
            found.append((begin, end - begin))
    return found


def _between(runs: Iterable[Run], blocks: int) -> list[Run]:
    """Return the blocks of an image that are in none of the runs."""
    found, begin = [], 0
    for first, count in [*runs, (blocks, 0)]:
        if begin < first:
            found.append((begin, first - begin))
        begin = first + count
    return found


def _both(some: Sequence[Run], others: Sequence[Run]) -> list[Run]:
    """Return the blocks that are in both."""
    found, i, j = [], 0, 0
    while i < len(some) and j < len(others):
        begin = max(some[i][0], others[j][0])
        end = min(sum(some[i]), sum(others[j]))
        if begin < end:
            found.append((begin, end - begin))
        if sum(some[i]) < sum(others[j]):
            i += 1
        else:
            j += 1
    return found


def _few(runs: list[Run]) -> list[Run]:
    """Return the runs, with the smallest gaps closed if there are too many."""
    excess = len(runs) - MOST_RUNS
    if excess <= 0:
        return runs
    by_gap = sorted(range(1, len(runs)), key=lambda i: runs[i][0] - sum(runs[i - 1]))
    closed = set(by_gap[:excess])
    found: list[Run] = []
    for i, (first, count) in enumerate(runs):
        begin = found.pop()[0] if i in closed else first
        found.append((begin, first + count - begin))
    return found
