"""A reader of an image with gaps: of blocks that are not read it gets zeros, without the ring.

It is a ``Reader`` of the image without its gaps, whose bytes are dense (``layout.py``), in a shell:
requests are converted, and the bytes of the ring are set in among the zeros. So a reader that skips a gap
reads straight on, and has not jumped; one that reads through it makes progress without a byte of the ring.
"""

from collections.abc import Iterator
from typing import Self

import attrs

from fanoutfs.fuse.reader import Reader
from fanoutfs.layout import Layout, Span
from fanoutfs.ring.cursor import Cursor
from fanoutfs.ring.resident_bytes import Buffer
from fanoutfs.ring.ring import Ring
from fanoutfs.ring.stream import AHEAD, BEHIND, Stream
from fanoutfs.zeros import read_only_zeros


@attrs.define(eq=False)
class GappedReader:
    """Reads an image with gaps, in any order, size and concurrency; see ``Reader``."""

    id: int
    pid: int
    command: str
    turn_from: int | None
    """The byte of the image where its turn begins, in a block that is read; None: it is in-order."""
    target: None = attrs.field(default=None, init=False)
    delivered: int = attrs.field(default=0, init=False)
    """Bytes handed out, zeros and re-reads included."""
    start: int | None = attrs.field(init=False)
    """The byte of the image at which it began; None before an in-order reader's first read."""
    _dense: Reader
    _layout: Layout
    _answered: int = attrs.field(default=0, init=False)
    """One past the last byte that was handed out, in its file: it may be within a gap."""
    _lap: int = attrs.field(init=False)
    """The dense byte where its turn begins."""

    def __attrs_post_init__(self) -> None:
        self.start = self.turn_from
        self._lap = self._layout.dense(self.turn_from or 0)

    @classmethod
    def open(cls, ring: Ring, reader_id: int, pid: int, command: str, turn_from: int | None) -> Self:
        """Register a reader; arguments as of ``Reader``."""
        layout = ring.layout
        dense = Reader(ring, reader_id, pid, command, None if turn_from is None else layout.dense(turn_from))
        return cls(reader_id, pid, command, turn_from, dense, layout)

    # What the status shows

    @property
    def size(self) -> int:
        """Bytes of its file."""
        return self._layout.size

    @property
    def kind(self) -> str:
        """The name of the file that it reads."""
        return self._dense.kind

    @property
    def cursor(self) -> Cursor:
        """Its cursor in the rules."""
        return self._dense.cursor

    @property
    def stream(self) -> Stream:
        """Its requests, in dense bytes."""
        return self._dense.stream

    @property
    def begun(self) -> bool:
        """Whether it has read anything."""
        return self._dense.begun

    @property
    def sequential(self) -> bool:
        """Whether it reads sequentially, as far as is known."""
        return self._dense.sequential

    @property
    def offset(self) -> int:
        """The byte of its file that it needs next."""
        dense = self._dense.offset
        if dense == self._to_dense(self._answered):
            return self._answered
        # Before the gap, if there is one: it has not had the zeros yet.
        place = self._lap + dense
        end = (
            self._layout.end(place)
            if place <= self._size
            else self._layout.end(place - self._size) + self.size
        )
        return max(0, end - (self.turn_from or 0))

    @property
    def position(self) -> int:
        """Where on the image its next byte lies; the image's size when an in-order reader has had all."""
        return self.offset if self.turn_from is None else (self.turn_from + self.offset) % self.size

    @property
    def left(self) -> int:
        """Bytes from its position to the end of its file."""
        return self.size - self.offset

    # Reading

    def read_nowait(self, offset: int, size: int) -> Buffer | None:
        """Return bytes that come next in order, resident or zeros; else None, with nothing changed."""
        begin, end = self._to_dense(offset), self._to_dense(offset + size)
        if begin == end:
            if offset != self.offset or not self._dense.straight:
                return None
            self._dense.passed_by(begin)
            found: Buffer | None = read_only_zeros(size)
        else:
            # A piece of the ring with zeros around it is put together by ``read``.
            found = self._dense.read_nowait(begin, size) if end - begin == size else None
        if found is not None:
            self._note(offset, size)
        return found

    async def read(self, offset: int, size: int) -> Buffer:
        """Return ``size`` bytes at ``offset``, both within the file; see ``Reader.read``."""
        if self.start is None:
            self.start = offset
        begin, end = self._to_dense(offset), self._to_dense(offset + size)
        at = self.offset
        if not (self.begun and at - BEHIND <= offset <= at + AHEAD) and self._is_gap(offset):
            # Many offsets of a gap have the same dense byte, and adjoin there.
            self._dense.jump_into_gap(begin, straight=offset == 0)
        if begin == end:
            self._dense.passed_by(begin)
            found: Buffer = read_only_zeros(size)
        else:
            found = await self._dense.read(begin, end - begin)
            if end - begin < size:
                found = self._with_zeros(offset, size, found)
        self._note(offset, size)
        return found

    def _note(self, offset: int, size: int) -> None:
        self._answered = offset + size
        self.delivered += size

    @property
    def _size(self) -> int:
        return self._layout.read_size

    def _to_dense(self, offset: int) -> int:
        """Return how many bytes of its file before this one come from the ring."""
        place = (self.turn_from or 0) + offset
        dense = self._layout.dense
        return (dense(place) if place <= self.size else dense(place - self.size) + self._size) - self._lap

    def _spans(self, offset: int, size: int) -> Iterator[Span]:
        """Yield the spans of a request, in places that count on from 0 after the image's end."""
        place = ((self.turn_from or 0) + offset) % self.size
        to_end = min(size, self.size - place)
        yield from self._layout.spans(place, to_end)
        yield from self._layout.spans(0, size - to_end)

    def _is_gap(self, offset: int) -> bool:
        return next(self._spans(offset, 1)).dense is None

    def _with_zeros(self, offset: int, size: int, found: Buffer) -> bytearray:
        """Set bytes of the ring in among the zeros."""
        whole, at, done = bytearray(size), 0, 0
        for span in self._spans(offset, size):
            length = span.end - span.begin
            if span.dense is not None:
                whole[at : at + length] = found[done : done + length]
                done += length
            at += length
        return whole

    # The page cache that it shares

    def found_in_cache(self, offset: int, size: int) -> None:
        """See ``Reader.found_in_cache``."""
        begin, end = self._to_dense(offset), self._to_dense(offset + size)
        self._dense.found_in_cache(begin, end - begin)
        if self.begun and self._dense.offset == end:
            self._answered = max(self._answered, offset + size)

    def joins(self, other: Stream) -> None:
        """See ``Reader.joins``."""
        self._dense.joins(other)

    def close(self) -> None:
        """Leave the ring; slots that only this reader needed become free."""
        self._dense.close()


AnyReader = Reader | GappedReader


def open_reader(ring: Ring, reader_id: int, pid: int, command: str, turn_from: int | None) -> AnyReader:
    """Register a reader of a ring's image; ``turn_from`` is where its turn begins, in bytes of the image."""
    kind = Reader if ring.layout.is_whole else GappedReader.open
    return kind(ring, reader_id, pid, command, turn_from)
