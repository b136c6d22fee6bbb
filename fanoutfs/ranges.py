"""Ranges of bytes: (offset, length). No I/O, no clock."""

from collections.abc import Iterable

Range = tuple[int, int]


def joined(ranges: Iterable[Range]) -> list[Range]:
    """Return the ranges in the order given, with adjoining ones merged."""
    found: list[Range] = []
    for offset, length in ranges:
        if found and sum(found[-1]) == offset:
            found[-1] = (found[-1][0], found[-1][1] + length)
        else:
            found.append((offset, length))
    return found
