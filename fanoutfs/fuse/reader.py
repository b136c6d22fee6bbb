"""One reader of the image: its stream, its cursor in the ring, and what it has read.

Its *offset* is a byte of the file that it reads, its *place* a byte of its way round the image: they are the
same for a reader of ``image``; for one of ``carousel`` the place is the offset plus where the turn began,
counting on past the image's end.

The image is the ring's, which has no gaps; ``gapped_reader.py`` is for one that has.
"""

import attrs

from fanoutfs.errors import FanoutError
from fanoutfs.ring.cursor import Cursor
from fanoutfs.ring.resident_bytes import Buffer
from fanoutfs.ring.ring import Ring
from fanoutfs.ring.stream import Stream


@attrs.define(eq=False)
class Reader:
    """Reads the image through the ring, in any order, size and concurrency."""

    ring: Ring
    id: int
    pid: int
    command: str
    turn_from: int | None = None
    """The byte of the image where its turn begins, a multiple of the block's size; None: it is in-order."""
    target: None = attrs.field(default=None, init=False)
    """Unknown: a reader of the mount does not say where it writes."""
    delivered: int = attrs.field(default=0, init=False)
    """Bytes handed out, re-reads included."""
    stream: Stream = attrs.field(init=False)
    cursor: Cursor = attrs.field(init=False)
    start: int | None = attrs.field(init=False)
    """The byte of the image at which it began; None before an in-order reader's first read."""
    _origin: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.stream = Stream()
        self.start = self.turn_from
        self._origin = self.turn_from or 0
        self.cursor = self.ring.open(self.id, self.turn_from)

    @property
    def size(self) -> int:
        """Bytes of its file."""
        return self.ring.size

    @property
    def offset(self) -> int:
        """The byte of its file that it needs next."""
        return self.stream.position

    @property
    def kind(self) -> str:
        """The name of the file that it reads."""
        return "image" if self.turn_from is None else "carousel"

    @property
    def begun(self) -> bool:
        """Whether it has read anything."""
        return self.stream.begun

    @property
    def straight(self) -> bool:
        """See ``Stream.straight``."""
        return self.stream.straight

    @property
    def sequential(self) -> bool:
        """Whether it reads sequentially, as far as is known."""
        return self.stream.sequential

    @property
    def position(self) -> int:
        """Where on the image its next byte lies; the image's size when an in-order reader has had all."""
        place = self._origin + self.stream.position
        return place if self.turn_from is None else place % self.ring.size

    @property
    def left(self) -> int:
        """Bytes from its position to the end of its file."""
        return self.ring.size - self.stream.position

    def read_nowait(self, offset: int, size: int) -> Buffer | None:
        """Return bytes that come next in order and are resident; else None, with nothing changed.

        The path of nearly all reads, kept short: eight direct readers do 6,000 of them in a second.
        """
        stream = self.stream
        if offset != stream.position or not stream.straight:
            return None
        found = self.ring.read_nowait(self.cursor, self._origin + offset, size)
        if found is not None:
            stream.position = offset + size
            self.delivered += size
            self.ring.move(self.cursor, self._origin + stream.position, sequential=True)
        return found

    async def read(self, offset: int, size: int) -> Buffer:
        """Return ``size`` bytes at ``offset``, both within the file.

        A checkpoint only when it has to wait. The result is good until the next checkpoint. Raise what
        ``Ring.read`` raises. Cancelled: the stream stays where it was.
        """
        stream = self.stream
        if stream.begin(offset, size, head=self._head()):
            self.cursor.fresh = True
        if self.start is None:
            self.start = offset
        self._move()
        try:
            found = await self._read(self._origin + offset, size)
        except FanoutError:
            # A reader that continues after an error continues behind the failed read.
            stream.acknowledge(offset, size)
            self._move()
            raise
        self.delivered += size
        stream.acknowledge(offset, size)
        self._move()
        return found

    def _head(self) -> int:
        return self.ring.rules.head * self.ring.block if self.turn_from is None else 0

    async def _read(self, place: int, size: int) -> Buffer:
        """Read at a place; what goes over the image's end is read in two and copied together."""
        to_end = self.ring.size - place % self.ring.size
        if size <= to_end:
            return await self.ring.read(self.cursor, place, size)
        before = bytes(await self.ring.read(self.cursor, place, to_end))
        if self._origin + self.stream.position == place:
            # What was copied is no longer needed, and must not hold those in front.
            self.ring.move(self.cursor, place + to_end, sequential=self.stream.sequential)
        return before + bytes(await self.ring.read(self.cursor, place + to_end, size - to_end))

    def _move(self) -> None:
        self.ring.move(self.cursor, self._origin + self.stream.position, sequential=self.stream.sequential)

    def found_in_cache(self, offset: int, size: int) -> None:
        """Record that bytes lie in the page cache through which this reader reads: it will not ask for them.

        Another reader through the same cache was given them. What this one asks for all the same, because the
        kernel has dropped it, is answered as any read behind the position is.
        """
        if self.stream.begun:
            self.stream.acknowledge(offset, size)
            self._move()

    def passed_by(self, offset: int) -> None:
        """Record that it has read up to this byte of its file, without a byte from the ring."""
        self.stream.begin(offset, 0)
        self._move()

    def jump_into_gap(self, offset: int, *, straight: bool) -> None:
        """Record that it jumps into a gap before this byte; ``straight``: to the first byte of its file."""
        self.stream.jump(offset, straight=straight)
        self.cursor.fresh = True

    def joins(self, other: Stream) -> None:
        """Record what lies in the page cache already, which the reader with this stream has filled."""
        if self.stream.begun and other.begun:
            self.stream.share(other)
            self._move()

    def close(self) -> None:
        """Leave the ring; slots that only this reader needed become free."""
        self.ring.close(self.cursor)
