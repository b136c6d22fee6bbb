"""How what is copied is read: the size of blocks, and the gaps that are read through. No I/O, no clock.

Whole blocks are read, and to skip a small gap costs a disk more time than to read it. Both read more than is
needed: together at most a share of SPARE.
"""

import itertools
from collections.abc import Sequence

from fanoutfs.ranges import Range
from fanoutfs.units import KIB, MIB

SPARE = 0.005
"""Of what is needed, what may be read beside it. To find out what is used takes about as much."""

LEAST_BLOCK = 64 * KIB
"""Bytes. Smaller blocks cost more time than they save."""

GAP = 2 * MIB
"""Bytes; a disk reads as many while it seeks once. No larger gap is read through."""


def fitting_block(ranges: Sequence[Range], largest: int) -> int:
    """Return the largest size of a block, of ``largest`` bytes or less, with which little is read in vain."""
    needed = sum(length for _, length in ranges)
    block = largest
    while block > LEAST_BLOCK and block % 2 == 0 and rounded(ranges, block) - needed > needed * SPARE / 2:
        block //= 2
    return block


def rounded(ranges: Sequence[Range], block: int) -> int:
    """Return the bytes of all blocks in which any of these ascending ranges are."""
    count = at = 0
    for offset, length in ranges:
        first, end = max(at, offset // block), -(-(offset + length) // block)
        count += max(0, end - first)
        at = max(at, end)
    return count * block


def read_through(ranges: Sequence[Range], block: int) -> tuple[Range, ...]:
    """Return ascending ranges with the smallest gaps closed, as far as SPARE allows."""
    needed = sum(length for _, length in ranges)
    spare = needed * (1 + SPARE) - rounded(ranges, block)
    gaps = [after[0] - sum(before) for before, after in itertools.pairwise(ranges)]
    most = 0
    for gap in sorted(gap for gap in gaps if gap <= GAP):
        spare -= gap
        if spare < 0:
            break
        most = gap
    found = list(ranges[:1])
    for (offset, length), gap in zip(ranges[1:], gaps, strict=False):
        if gap <= most:
            found[-1] = found[-1][0], offset + length - found[-1][0]
        else:
            found.append((offset, length))
    return tuple(found)
