"""Reads around bad places, by ever smaller reads where a large one fails, as ddrescue does.

A run that fails is halved until the bad pages are isolated, so that one bad sector costs its readers one page
and not a run of several MiB. A disk that fails slowly would delay all readers while it is searched. So the
search ends after SEARCH_SECONDS, and what was not proven good by then counts as bad.
"""

import time

from fanoutfs.errors import reason
from fanoutfs.source.contract import LostError, Source
from fanoutfs.source.counters import Counters
from fanoutfs.units import PAGE

SEARCH_SECONDS = 10.0

BadRanges = dict[int, list[tuple[int, int]]]
"""Per block number the (begin, end) byte ranges within the block that could not be read."""


def read_or_salvage(
    source: Source, offset: int, length: int, slots: list[memoryview], statistics: Counters
) -> BadRanges:
    """Fill the slots from ``offset`` on; return what could not be read. Never raises OSError.

    The reason is in ``statistics.trouble``.
    """
    try:
        statistics.reads += 1
        source.read_into(offset, length, slots)
    except LostError as error:
        statistics.trouble = reason(error)
        statistics.errors += 1
        return _all_of(offset, length, len(slots[0]))
    except OSError as error:
        statistics.trouble = reason(error)
        return _salvage(source, offset, length, slots, statistics)
    statistics.bytes_read += length
    return {}


def _all_of(offset: int, length: int, block: int) -> BadRanges:
    starts = range(offset, offset + length, block)
    return {begin // block: [(0, min(block, offset + length - begin))] for begin in starts}


def _salvage(
    source: Source, offset: int, length: int, slots: list[memoryview], statistics: Counters
) -> BadRanges:
    block = len(slots[0])
    give_up_at = time.monotonic() + SEARCH_SECONDS
    bad: BadRanges = {}
    for i, slot in enumerate(slots):
        begin = offset + i * block
        ranges = _search(source, begin, min(block, offset + length - begin), slot, give_up_at, statistics)
        if ranges:
            bad[begin // block] = [(b - begin, e - begin) for b, e in ranges]
            statistics.errors += len(ranges)
    return bad


def _search(
    source: Source, offset: int, length: int, slot: memoryview, give_up_at: float, statistics: Counters
) -> list[tuple[int, int]]:
    """Return the bad (begin, end) ranges of the source within [offset, offset + length), joined."""
    if time.monotonic() >= give_up_at:
        return [(offset, offset + length)]
    try:
        statistics.reads += 1
        source.read_into(offset, length, [slot])
    except OSError:
        if length <= PAGE:
            return [(offset, offset + length)]
    else:
        statistics.bytes_read += length
        return []
    half = -(-length // 2 // PAGE) * PAGE
    ranges = _search(source, offset, half, slot[:half], give_up_at, statistics)
    for begin, end in _search(source, offset + half, length - half, slot[half:], give_up_at, statistics):
        if ranges and ranges[-1][1] == begin:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((begin, end))
    return ranges
