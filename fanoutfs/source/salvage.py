"""Reads around bad places, by ever smaller reads where a large one fails, as ddrescue does.

A run that fails is halved until the bad pages are isolated, so that one bad sector costs its readers one page
and not a run of several MiB. A disk that fails slowly would delay all readers while it is searched. So the
search ends after SEARCH_SECONDS, and what was not proven good by then counts as bad.
"""

import time
from collections.abc import Iterator

from fanoutfs.errors import reason
from fanoutfs.source.contract import LostError, SlowError, Source
from fanoutfs.source.counters import Counters
from fanoutfs.source.local import cut
from fanoutfs.source.pieces import Pieces
from fanoutfs.units import PAGE

SEARCH_SECONDS = 10.0

BadRanges = dict[int, list[tuple[int, int]]]
"""Per block number the (begin, end) byte ranges within the block that could not be read."""


def read_or_salvage(
    source: Source, offset: int, length: int, slots: list[memoryview], statistics: Counters, pieces: Pieces
) -> BadRanges:
    """Fill the slots from ``offset`` on; return what could not be read. Never raises OSError.

    The reason is in ``statistics.trouble``. ``statistics.bytes_read`` grows with each piece that arrives.
    """
    done = 0
    try:
        for count in _read(source, offset, length, slots, statistics, pieces):
            statistics.bytes_read += count
            done += count
    except LostError as error:
        statistics.trouble = reason(error)
        statistics.errors += 1
        return _all_of(offset, done, length, len(slots[0]))
    except OSError as error:
        statistics.trouble = reason(error)
        return _salvage(source, offset, done, length, slots, statistics, pieces)
    return {}


def _read(
    source: Source, offset: int, length: int, slots: list[memoryview], statistics: Counters, pieces: Pieces
) -> Iterator[int]:
    """Fill the slots in pieces; yield the bytes of each. Raises OSError."""
    done = 0
    while done < length:
        count = min(pieces.size, length - done)
        # Up to the end of a whole page, where the source ends within one.
        room = slots if count == length else cut(slots, done, done + pieces.size)
        began = time.monotonic()
        statistics.reads += 1
        try:
            source.read_into(offset + done, count, room)
        except SlowError:
            pieces.unanswered()
            continue
        pieces.answered(count, time.monotonic() - began)
        done += count
        yield count


def _all_of(offset: int, done: int, length: int, block: int) -> BadRanges:
    """Return all from ``done`` on as bad."""
    bad: BadRanges = {}
    for at in range(done - done % block, length, block):
        bad[(offset + at) // block] = [(max(done - at, 0), min(block, length - at))]
    return bad


def _salvage(
    source: Source,
    offset: int,
    done: int,
    length: int,
    slots: list[memoryview],
    statistics: Counters,
    pieces: Pieces,
) -> BadRanges:
    """Search all from ``done`` on, block by block."""
    block = len(slots[0])
    give_up_at = time.monotonic() + SEARCH_SECONDS
    bad: BadRanges = {}
    for i in range(done // block, len(slots)):
        begin, skip = offset + i * block, max(done - i * block, 0)
        size = min(block, length - i * block)
        ranges = _search(source, begin + skip, size - skip, slots[i][skip:], give_up_at, statistics, pieces)
        if ranges:
            bad[begin // block] = [(b - begin, e - begin) for b, e in ranges]
            statistics.errors += len(ranges)
    return bad


def _search(
    source: Source,
    offset: int,
    length: int,
    slot: memoryview,
    give_up_at: float,
    statistics: Counters,
    pieces: Pieces,
) -> list[tuple[int, int]]:
    """Return the bad (begin, end) ranges of the source within [offset, offset + length), joined."""
    if time.monotonic() >= give_up_at:
        return [(offset, offset + length)]
    try:
        for _ in _read(source, offset, length, [slot], statistics, pieces):
            pass
    except OSError:
        if length <= PAGE:
            return [(offset, offset + length)]
    else:
        statistics.bytes_read += length
        return []
    half = -(-length // 2 // PAGE) * PAGE
    ranges = _search(source, offset, half, slot[:half], give_up_at, statistics, pieces)
    for begin, end in _search(
        source, offset + half, length - half, slot[half:], give_up_at, statistics, pieces
    ):
        if ranges and ranges[-1][1] == begin:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((begin, end))
    return ranges
