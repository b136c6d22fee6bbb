"""Reads of a source, around its bad places: one bad sector costs its readers that sector, and little time.

What can't be read is an error for the readers of these sectors (``fail``), or zeros (``zero``). With ``fail``
each new request tries the source again, as a disk does. With ``zero`` all readers are to see the same bytes:
what was found bad stays so, and what was left for later is tried once more, when ``try_again`` is called.

``bad_map.py`` has what is known of each byte, ``search.py`` decides what to read next in a bad area.
"""

import enum
import errno
import math
import os
import time
from collections.abc import Callable
from typing import Self

import attrs

from fanoutfs.errors import reason
from fanoutfs.ranges import Extent, merged
from fanoutfs.source.bad_map import BadMap, Place
from fanoutfs.source.contract import EndedError, LostError, SlowError, Source
from fanoutfs.source.counters import Counters
from fanoutfs.source.local import cut
from fanoutfs.source.pieces import LEAST, Pieces
from fanoutfs.source.search import AGAIN_SECONDS, Area, Search
from fanoutfs.units import PAGE

SEARCH_SECONDS = 10.0
"""How long a read may be searched for bad sectors, from its first failure on. Then what is left of a piece
that fails counts as bad."""

GONE = {errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM, errno.ENOTCONN, errno.ECONNABORTED, errno.ESTALE}
"""The disk was unplugged, or the server of the file has ended: no bad place, whatever is read."""

BadRanges = dict[int, list[Extent]]
"""Per block of the image the (begin, end) byte ranges within the block that could not be read."""


class Answer(enum.Enum):
    """How a read of the source ended."""

    GOOD = enum.auto()
    FAILED = enum.auto()
    ENDED = enum.auto()
    """The source is shorter than it was."""


@attrs.frozen
class Salvaged:
    """What has become of a read."""

    blocks: int = 0
    """How many blocks were read, bad places included."""
    bad: BadRanges = attrs.field(factory=dict)
    """Errors for their readers."""
    zeros: BadRanges = attrs.field(factory=dict)
    """Zeros in place of data."""
    found: list[Extent] = attrs.field(factory=list)
    """Bytes of the source that failed in this read."""
    left: list[Extent] = attrs.field(factory=list)
    """Those that were left for later."""
    lost: list[Extent] = attrs.field(factory=list)
    """Those that can't be read now for a different reason than a bad place."""

    def renumbered(self, by: int) -> Self:
        """Return the same with ``by`` added to the numbers of the blocks."""
        bad = {block + by: places for block, places in self.bad.items()}
        return attrs.evolve(self, bad=bad, zeros={block + by: at for block, at in self.zeros.items()})

    def joined(self, other: Self) -> Self:
        """Return the sum of two reads of different blocks."""
        return type(self)(
            self.blocks + other.blocks,
            self.bad | other.bad,
            self.zeros | other.zeros,
            merged(self.found + other.found),
            merged(self.left + other.left),
            merged(self.lost + other.lost),
        )


@attrs.define
class _Reading:
    """The read under way."""

    begin: int
    end: int
    slots: list[memoryview]
    give_up_at: float = math.inf
    """No search goes on after this time; it is set by the first failure."""
    missing: list[Extent] = attrs.field(factory=list)
    """Bad, left, or not touched."""
    lost: list[Extent] = attrs.field(factory=list)
    """What can't be read for a different reason: an error with ``zero``, too."""
    found: list[Extent] = attrs.field(factory=list)
    left: list[Extent] = attrs.field(factory=list)
    is_abandoned: bool = False
    """Nobody waits for it any more."""
    ended: bool = False
    """The source has become shorter than where this read ends."""

    def room(self, begin: int, end: int, size: int) -> list[memoryview]:
        """Return the memory for a part of it; where the source of that ``size`` ends, up to a whole page."""
        if (begin, end) == (self.begin, self.end):
            return self.slots
        stop = end - self.begin
        return cut(self.slots, begin - self.begin, -(-stop // PAGE) * PAGE if end == size else stop)


@attrs.define(eq=False)
class Salvage:
    """Reads one source; one thread at a time."""

    source: Source
    counters: Counters
    pieces: Pieces
    map: BadMap
    zero: bool = False
    """Whether readers get zeros where the source can't be read."""
    retries: int = 0
    """How many times a bad sector is read again."""
    clock: Callable[[], float] = time.monotonic
    _area: Area = attrs.field(init=False)
    _skipped: Extent = attrs.field(default=(0, 0), init=False)
    """Bytes to be left out that were not reached yet."""
    _again: Area = attrs.field(factory=lambda: Area(limit=AGAIN_SECONDS), init=False)
    """The time that an area has taken that is tried again."""
    _end: int = attrs.field(default=0, init=False)
    """Where the last read ended."""
    _reading: _Reading | None = attrs.field(default=None, init=False)
    _to_try_again: list[Extent] = attrs.field(factory=list, init=False)
    _sector: int = attrs.field(default=0, init=False)
    """0: not known yet."""

    def __attrs_post_init__(self) -> None:
        self._area = Area.of(self.source.size)

    def try_again(self, begin: int, end: int) -> None:
        """Try again what was left in [begin, end) when it is read next; called in any thread."""
        self._to_try_again.append((begin, end))

    def abandon(self) -> None:
        """End the read under way, which hangs; others may follow at once, from a different thread.

        When the source answers after all, it ends and changes nothing.
        """
        assert self._reading is not None
        self._reading.is_abandoned = True

    def read(self, offset: int, length: int, slots: list[memoryview], seconds: float = math.inf) -> Salvaged:
        """Fill the slots from ``offset`` on, a multiple of their size. Never raises OSError.

        Once something has failed, it ends with the block that is being read after ``seconds``. The reason of
        the last failure is in ``counters.trouble``. ``counters.bytes_read`` grows with each piece that
        arrives.
        """
        while self._to_try_again:
            begin, end = self._to_try_again.pop()
            self.map.replace(begin, end, {Place.LEFT}, Place.AGAIN)
        if not self._sector and self.map.changes:
            self.map.align(self._least())
        if not self.zero:
            self._skipped = 0, 0
        if offset != self._end:
            self._area = Area.of(self.source.size)
        reading = self._reading = _Reading(offset, offset + length, slots)
        end = self._read_all(reading, self.clock() + seconds)
        if reading.is_abandoned:
            return Salvaged()
        self._end = end
        return self._result(reading, self._end)

    def _read_all(self, reading: _Reading, until: float) -> int:
        """Read, and return where that ended."""
        at, block, postponed = reading.begin, len(reading.slots[0]), list[Extent]()
        try:
            while at < reading.end and not reading.ended:
                if reading.give_up_at < math.inf and at % block == 0 and self.clock() >= until:
                    break
                place, stop = self._next(at, reading.end)
                if place is Place.BAD and not self.zero:
                    # After all others, for which there may be no time then.
                    postponed.append((at, stop))
                    at = stop
                else:
                    at = self._read_place(reading, at, stop, place)
            while postponed:
                search = Search.within(*postponed[0], self._least())
                self._search(reading, search, self._area, Place.BAD)
                del postponed[0]
        except LostError as error:
            if not reading.is_abandoned:
                self.counters.trouble = reason(error)
            reading.lost += [*postponed, (at, reading.end)]
            return reading.end
        return reading.end if reading.ended else at

    def _next(self, at: int, end: int) -> tuple[Place, int]:
        """Return what is known of a byte, and where that ends; LEFT for what is to be left out."""
        place, stop = self.map.at(at)
        low, high = self._skipped
        if place in (Place.UNTRIED, Place.DOUBTFUL):
            if low <= at < high:
                return Place.LEFT, min(stop, end, high)
            if at < low < high:
                stop = min(stop, low)
        return place, min(stop, end)

    def _read_place(self, reading: _Reading, begin: int, end: int, place: Place) -> int:
        """Read what begins there; return where to go on."""
        if place is Place.KNOWN_BAD or (self.zero and place in (Place.BAD, Place.TRIMMED)):
            reading.missing.append((begin, end))
        elif place is Place.LEFT:
            self._leave(reading, [(begin, end)], None)
        elif place is Place.AGAIN:
            self._search_again(reading, begin, end)
        else:
            most = LEAST if place is Place.DOUBTFUL else self.pieces.size
            return self._read_piece(reading, begin, min(end, begin + most))
        return end

    def _read_piece(self, reading: _Reading, begin: int, end: int) -> int:
        """Read a piece; return where to go on."""
        began = self.clock()
        try:
            answer = self._try(reading, begin, end)
        except SlowError:
            self.pieces.unanswered()
            return begin
        seconds = self.clock() - began
        if answer is Answer.GOOD:
            self.pieces.answered(end - begin, seconds)
            self._area.answered(end - begin)
            return end
        self.pieces.unanswered()
        search = Search.of_read(begin, end, self._least())
        search.next()
        self._fail(reading, search, answer, seconds, self._area, None)
        self._search(reading, search, self._area, None)
        return end

    def _search_again(self, reading: _Reading, begin: int, end: int) -> None:
        """Read a part of an area that was left: from its edges inwards."""
        first = begin == 0 or self.map.at(begin - 1)[0] in (Place.GOOD, Place.UNTRIED)
        last = end == self.map.size or self.map.at(end)[0] in (Place.GOOD, Place.UNTRIED)
        if first or last:
            self._again = Area(limit=AGAIN_SECONDS)
        search = Search.within(begin, end, self._least(), edges=(first, last))
        self._search(reading, search, self._again, Place.TRIMMED)

    def _search(self, reading: _Reading, search: Search, area: Area, rest: Place | None) -> None:
        """Do the reads of a search.

        ``rest``: what is recorded of that for which there is no time. None: it is left for later, and bytes
        behind it are left out.
        """
        # What was bad before is read once at least: the source may be well again.
        may_stop = rest is not Place.BAD
        while (now := search.next()) is not None:
            late = self.clock() >= reading.give_up_at
            if late or (rest is not None and area.is_over_time and may_stop):
                self._leave(reading, sorted([now, *search.drop(reading.end)]), rest)
                return
            may_stop = True
            began = self.clock()
            answer = self._try(reading, *now)
            if answer is Answer.GOOD:
                area.answered(now[1] - now[0])
            else:
                self._fail(reading, search, answer, self.clock() - began, area, rest)

    def _fail(
        self,
        reading: _Reading,
        search: Search,
        answer: Answer,
        seconds: float,
        area: Area,
        rest: Place | None,
    ) -> None:
        """Record that the last read of a search has failed."""
        reading.give_up_at = min(reading.give_up_at, self.clock() + SEARCH_SECONDS)
        begin, end = search.now
        if search.failed() and not (answer is Answer.FAILED and self._retry(reading, begin, end, area)):
            if answer is Answer.ENDED:
                reading.lost += [*search.drop(reading.end), (begin, reading.end)]
                reading.ended = True
                return
            self.map.mark(begin, end, Place.BAD)
            reading.missing.append((begin, end))
            reading.found.append((begin, end))
        if answer is Answer.FAILED:
            area.failed(seconds)
        if rest is None and area.is_over_time:
            self._skipped = begin, begin + area.leave()
            self._leave(reading, search.drop(self._skipped[1]), None)

    def _retry(self, reading: _Reading, begin: int, end: int, area: Area) -> bool:
        """Read a sector again; return whether one of the retries has brought it."""
        for _ in range(self.retries):
            began = self.clock()
            if area.is_over_time or began >= reading.give_up_at:
                break
            if self._try(reading, begin, end) is Answer.GOOD:
                return True
            area.failed(self.clock() - began)
        return False

    def _leave(self, reading: _Reading, extents: list[Extent], rest: Place | None) -> None:
        """Record what is not read now."""
        for begin, end in extents:
            self.map.mark(begin, end, rest or (Place.LEFT if self.zero else Place.DOUBTFUL))
            reading.missing.append((begin, end))
            if rest is None:
                reading.left.append((begin, end))

    def _try(self, reading: _Reading, begin: int, end: int) -> Answer:
        """Read; raises LostError and SlowError."""
        self.counters.reads += 1
        try:
            self.source.read_into(begin, end - begin, reading.room(begin, end, self.source.size))
        except LostError:
            raise
        except OSError as error:
            if reading.is_abandoned:
                raise LostError(error.errno, error.strerror) from error
            if error.errno in GONE:
                raise LostError(error.errno, error.strerror) from error
            if isinstance(error, SlowError) and end - begin > LEAST:
                raise
            self.counters.trouble = reason(error)
            return Answer.ENDED if isinstance(error, EndedError) else Answer.FAILED
        if reading.is_abandoned:
            raise LostError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        self.counters.bytes_read += end - begin
        self.map.mark(begin, end, Place.GOOD)
        return Answer.GOOD

    def _least(self) -> int:
        self._sector = self._sector or self.source.sector
        return self._sector

    def _result(self, reading: _Reading, end: int) -> Salvaged:
        block = len(reading.slots[0])
        missing = merged(reading.missing)
        self.counters.errors += len(merged(reading.found + reading.left + reading.lost))
        if self.zero:
            for begin, stop in missing:
                for piece in cut(reading.slots, begin - reading.begin, stop - reading.begin):
                    piece[:] = bytes(len(piece))
        return Salvaged(
            blocks=-(-(end - reading.begin) // block),
            bad=_by_block(reading.lost if self.zero else missing + reading.lost, block),
            zeros=_by_block(missing if self.zero else [], block),
            found=merged(reading.found),
            left=merged(reading.left),
            lost=merged(reading.lost),
        )


def _by_block(extents: list[Extent], block: int) -> BadRanges:
    bad: BadRanges = {}
    for begin, end in merged(extents):
        for number in range(begin // block, -(-end // block)):
            at = number * block
            bad.setdefault(number, []).append((max(begin - at, 0), min(end - at, block)))
    return bad
