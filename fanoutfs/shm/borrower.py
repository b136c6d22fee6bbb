"""The consumer's side of the shared memory: joins a producer, waits for blocks, and frees what it has copied.

Plain blocking code, for a process of its own. Blocks are unrolled: from ``start`` to ``start`` plus the
image's number of them. ``sheet.py`` says what a term is, and why a copy is right if and only if the term is
still the same after it: that is what ``free`` answers.
"""

import os
import select
from typing import Any

import attrs

from fanoutfs.control.client import ControlConnection
from fanoutfs.control.messages import HungUpError, Message
from fanoutfs.ring.memory import ReadOnlyMemory
from fanoutfs.shm.grant_table import Grant, GrantTable
from fanoutfs.shm.turn import Turn

ANSWER_SECONDS = 15.0
"""A producer is given so long for a welcome."""


@attrs.frozen
class Image:
    """What a producer replicates: bytes of the image and of a block, and which source it is."""

    size: int
    block: int
    identity: str
    origin: str | None
    """What its bytes are known by where they come from; None: nobody has said."""

    @classmethod
    def said(cls, message: Message) -> "Image":
        """Take it from what a producer has said."""
        return cls(message["size"], message["block"], message["identity"], message["origin"])

    @property
    def blocks(self) -> int:
        """How many blocks it has; the last may be shorter."""
        return -(-self.size // self.block)


@attrs.define(eq=False)
class Borrower:
    """A consumer that copies out of a producer's ring."""

    id: int
    image: Image
    turn: Turn
    _connection: ControlConnection
    _memory: ReadOnlyMemory
    _sheet: GrantTable
    _filled: int
    _freed: int
    _term: int
    """As the producer has said it: read from the sheet it may be the number of one that came after."""
    _term_began: int = attrs.field(init=False)
    _poll: select.poll = attrs.field(factory=select.poll, init=False)

    def __attrs_post_init__(self) -> None:
        self._term_began = self.turn.next
        self._poll.register(self._filled, select.POLLIN)
        self._poll.register(self._connection.socket, select.POLLIN)

    @classmethod
    def join(
        cls,
        connection: ControlConnection,
        target: str,
        *,
        digests: bool,
        preferred_start: int | None = None,
        turn: Turn | None = None,
    ) -> "Borrower":
        """Join at the head, or at ``preferred_start`` if all blocks from there to the head are in the ring.

        ``turn``: continue a turn that began with a different producer.

        The connection is this object's from now on. Raises HungUpError, or FanoutError when refused.
        """
        request: dict[str, Any] = {
            "target": target,
            "digests": digests,
            "preferred_start": preferred_start,
            "turn": turn and attrs.astuple(turn),
        }
        try:
            welcome = connection.request("join", ANSWER_SECONDS, **request)
        except BaseException:
            connection.close()
            raise
        memory, sheet, filled, freed = connection.take_descriptors()
        image = Image.said(welcome)
        start = welcome["start"]
        return cls(
            welcome["id"],
            image,
            turn or Turn(start, start),
            connection,
            ReadOnlyMemory(memory, welcome["slots"], image.block),
            GrantTable.see(sheet, welcome["tickets"]),
            filled,
            freed,
            welcome["term"],
        )

    @property
    def end(self) -> int:
        """One past the last block of its turn."""
        return self.turn.start + self.image.blocks

    def wait(self, most: int, seconds: float | None = None) -> int:
        """Wait until there is a block to copy, or so many seconds; take ``most`` at most, and say how many.

        It may be none though the time is not over.

        Raises HungUpError when the producer has ended, FanoutError when it says why there will be no more.
        """
        ready = self._poll.poll(None if seconds is None else seconds * 1000)
        if any(fd == self._connection.socket.fileno() for fd, _ in ready):
            message = self._connection.receive(ANSWER_SECONDS)
            raise HungUpError(f"the producer says {message['word']!r} unasked")
        count = 0
        while count < most:
            try:
                os.eventfd_read(self._filled)
            except BlockingIOError:
                break
            count += 1
        if self._sheet.term != self._term:
            self._resume()
            return 0
        return count

    def tickets(self, count: int) -> list[Grant]:
        """Give the tickets of the next ``count`` blocks, which ``wait`` has taken."""
        first = self.turn.next - self._term_began
        return [self._sheet.read(number) for number in range(first, first + count)]

    def block(self, ticket: Grant, place: int) -> memoryview:
        """Give a block where it lies; it is read-only, and page-aligned."""
        begin = place % self.image.blocks * self.image.block
        return self._memory.slot(ticket.slot)[: self.image.size - begin]

    def free(self, count: int) -> bool:
        """Say that the next ``count`` blocks are copied, and go on behind them.

        False: they are not, for the producer had taken them back before; copy them again.
        """
        if self._sheet.term != self._term:
            self._resume()
            return False
        self.turn = self.turn.advanced(count)
        os.eventfd_write(self._freed, count)
        return True

    def _resume(self) -> None:
        """Begin a new term where it is."""
        while True:
            try:
                os.eventfd_read(self._filled)
            except BlockingIOError:
                break
        self._term = self._connection.request("resume", block=self.turn.next)["term"]
        self._term_began = self.turn.next

    def close(self) -> None:
        """Leave."""
        self._connection.close()
        self._memory.close()
        self._sheet.close()
        os.close(self._filled)
        os.close(self._freed)
