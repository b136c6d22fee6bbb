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
    start: int
    """The block where its turn began."""
    place: int
    """The block that it has to copy next."""
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
        self._term_began = self.place
        self._poll.register(self._filled, select.POLLIN)
        self._poll.register(self._connection.socket, select.POLLIN)

    @classmethod
    def join(
        cls,
        connection: ControlConnection,
        target: str,
        *,
        digests: bool,
        near: int | None = None,
        goes_on: tuple[int, int] | None = None,
    ) -> "Borrower":
        """Join at the head, or at the block ``near`` it where all from there to the head is in the ring.

        ``goes_on``: go on with a turn that began, with another producer, at the first of these unrolled
        blocks, and has come to the second.

        The connection is this object's from now on. Raises HungUpError, or FanoutError when refused.
        """
        request: dict[str, Any] = {"target": target, "digests": digests, "near": near, "goes_on": goes_on}
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
            start,
            start if goes_on is None else goes_on[1],
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
        return self.start + self.image.blocks

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
        first = self.place - self._term_began
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
        self.place += count
        os.eventfd_write(self._freed, count)
        return True

    def _resume(self) -> None:
        """Begin a new term where it is."""
        while True:
            try:
                os.eventfd_read(self._filled)
            except BlockingIOError:
                break
        self._term = self._connection.request("resume", block=self.place)["term"]
        self._term_began = self.place

    def close(self) -> None:
        """Leave."""
        self._connection.close()
        self._memory.close()
        self._sheet.close()
        os.close(self._filled)
        os.close(self._freed)
