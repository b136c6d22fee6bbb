"""One reader of the image: its stream, its point in the ring, and what it has had."""

import attrs

from fanoutfs.errors import FanoutError
from fanoutfs.ring.order import Point
from fanoutfs.ring.shared import Buffer, Ring
from fanoutfs.ring.stream import Stream


@attrs.define(eq=False)
class Consumer:
    """Reads the image through the ring, in any order, size and concurrency."""

    ring: Ring
    id: int
    pid: int
    command: str
    delivered: int = attrs.field(default=0, init=False)
    """Bytes handed out, re-reads included."""
    stream: Stream = attrs.field(init=False)
    point: Point = attrs.field(init=False)
    start: int | None = attrs.field(default=None, init=False)
    """Offset of the first read; None before it."""

    def __attrs_post_init__(self) -> None:
        self.stream = Stream()
        self.point = self.ring.open(self.id)

    def read_nowait(self, offset: int, size: int) -> Buffer | None:
        """Give bytes that come next in order and are resident, else None, with nothing changed.

        The way of nearly all reads, kept short: eight direct readers do 6,000 of them in a second.
        """
        stream = self.stream
        if offset != stream.position or not stream.straight:
            return None
        found = self.ring.read_nowait(offset, size)
        if found is not None:
            stream.position = offset + size
            self.delivered += size
            self.ring.move(self.point, stream.position, counts=True)
        return found

    async def read(self, offset: int, size: int) -> Buffer:
        """Give ``size`` bytes at ``offset``, both within the image.

        A checkpoint only when it has to wait. The result is good until the next checkpoint. Raises what
        ``Ring.read`` raises. Cancelled: the stream stays where it was.
        """
        stream = self.stream
        if self.start is None:
            self.start = offset
        fresh = stream.begin(offset, size)
        self._move()
        try:
            found = await self.ring.read(self.point, offset, size, fresh=fresh)
        except FanoutError:
            # A reader that gets an error goes on behind it, if it goes on.
            stream.took(offset, size)
            self._move()
            raise
        self.delivered += size
        stream.took(offset, size)
        self._move()
        return found

    def _move(self) -> None:
        self.ring.move(self.point, self.stream.position, counts=self.stream.counts)

    def close(self) -> None:
        """Leave the ring; what only this reader needed is free."""
        self.ring.close(self.point)
