"""Ranges of bytes, (offset, length), and extents, [begin, end). No I/O, no clock."""

from collections.abc import Iterable

Range = tuple[int, int]

Extent = tuple[int, int]


def joined(ranges: Iterable[Range]) -> list[Range]:
    """Return the ranges in the order given, with adjoining ones merged."""
    found: list[Range] = []
    for offset, length in ranges:
        if found and sum(found[-1]) == offset:
            found[-1] = (found[-1][0], found[-1][1] + length)
        else:
            found.append((offset, length))
    return found


def merged(extents: Iterable[Extent]) -> list[Extent]:
    """Return extents in order, with those merged that adjoin or overlap."""
    found: list[Extent] = []
    for begin, end in sorted(extents):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((begin, end))
    return found
