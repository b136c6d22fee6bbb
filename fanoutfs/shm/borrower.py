"""The consumer's end of a lease on the ring: joins a producer, waits for blocks, frees those it copied.

Plain blocking code, for a process of its own. Blocks are dense (``layout.py``) and unrolled: they count from
the turn's ``start`` to ``start`` plus the number of blocks that are copied. ``grant_table.py`` defines an
epoch, and explains why a copy is right if and only if the epoch is the same before and after it, which is
what ``free`` returns.
"""

import os
import select
from typing import Any

import attrs

from fanoutfs.control.client import ANSWER_SECONDS, ControlConnection
from fanoutfs.control.messages import HungUpError, Message
from fanoutfs.layout import Layout
from fanoutfs.ring.memory import ReadOnlyMemory
from fanoutfs.shm.copy_zeros import BlockZeros
from fanoutfs.shm.grant_table import Grant, GrantTable
from fanoutfs.shm.tally import mark_of, post, take
from fanoutfs.shm.turn import Turn
from fanoutfs.system.undo import undone_on_failure
from fanoutfs.units import ANY_SIZE

PING_SECONDS = 5.0
"""After this time without a block the producer is asked whether it lives: its source may only be slow."""


PONG_SECONDS = 20.0
"""How long the producer may take to answer that: a busy machine is no reason to end a copy."""


@attrs.frozen
class Image:
    """What a producer replicates: the size of the image and of a block in bytes, and which source it is."""

    size: int
    block: int
    identity: str
    origin: str | None
    """The identity of the data on the computer that it comes from; None: unknown."""
    layout: Layout = attrs.field(
        default=attrs.Factory(lambda self: Layout.whole(self.size, self.block), takes_self=True)
    )
    """Where the blocks of the ring are in the image."""
    part: str = ""
    """What of the source is copied (``SourceSettings.part``)."""
    once: bool = False
    """The source is a pipe: no other producer can replace one that ends."""

    @classmethod
    def from_message(cls, message: Message) -> "Image":
        """Read it from a "welcome" or "staying" message."""
        size, block = message["size"], message["block"]
        layout = Layout.from_plain(size, block, message["layout"])
        part, once = message.get("part", ""), message.get("once", False)
        return cls(size, block, message["identity"], message["origin"], layout, part, once)

    @property
    def size_is_known(self) -> bool:
        """Whether ``size`` is the size: that of a pipe may be found only at its end."""
        return self.size != ANY_SIZE

    def ending_at(self, size: int) -> "Image":
        """Return the same image with its size, which was not known."""
        return attrs.evolve(self, size=size, layout=Layout.whole(size, self.block))

    @property
    def blocks(self) -> int:
        """The number of blocks that are copied; the last may be shorter."""
        return self.layout.blocks


@attrs.define(eq=False)
class Borrower:
    """A consumer that copies out of a producer's ring."""

    id: int
    image: Image
    turn: Turn
    _connection: ControlConnection
    _memory: ReadOnlyMemory
    _grant_table: GrantTable
    _filled: int
    _freed: int
    _epoch: int
    """As the producer's message gave it: the table may show a later epoch by the time it is read."""
    _epoch_began: int = attrs.field(init=False)
    _poll: select.poll = attrs.field(factory=select.poll, init=False)

    def __attrs_post_init__(self) -> None:
        self._epoch_began = self.turn.next
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
        again: bool = False,
    ) -> "Borrower":
        """Join at the head, or at ``preferred_start`` if all blocks from there to the head are in the ring.

        ``turn``: continue a turn that began with a different producer. ``again``: what the producer has left
        for later in these blocks is to be tried again.

        This object owns the connection from now on. Raises HungUpError, or FanoutError when refused.
        """
        request: dict[str, Any] = {
            "target": target,
            "digests": digests,
            "preferred_start": preferred_start,
            "turn": turn and attrs.astuple(turn),
            "again": again,
        }
        # The producer sees by the closed connection that this consumer is gone.
        with undone_on_failure(connection.close):
            welcome = connection.request("join", **request)
        memory, table, filled, freed = connection.take_descriptors()
        image = Image.from_message(welcome)
        start = welcome["start"]
        return cls(
            welcome["id"],
            image,
            turn or Turn(start, start),
            connection,
            ReadOnlyMemory(memory, welcome["slots"], image.block),
            GrantTable.attach(table, welcome["grants"]),
            filled,
            freed,
            welcome["epoch"],
        )

    @property
    def end(self) -> int:
        """One past the last block of the turn."""
        return self.turn.start + self.image.blocks

    def wait(self, most: int, seconds: float | None = None) -> int:
        """Wait until a block can be copied, at most ``seconds``; return how many can be, at most ``most``.

        The result may be 0 before the time is over.

        Raises HungUpError when the producer has ended, FanoutError with the reason for an early end;
        NoAnswerError when there is no block and the producer does not answer. A source that takes long for
        a block is the producer's affair.
        """
        ready = self._poll.poll(1000 * (PING_SECONDS if seconds is None else min(seconds, PING_SECONDS)))
        if not ready:
            self._connection.request("ping", PONG_SECONDS)
            return 0
        spoken = any(fd == self._connection.socket.fileno() for fd, _ in ready)
        marks = None if spoken else take(self._filled, most)
        if marks is None:
            # It has ended, or it ends this consumer; what it has said last is the reason.
            message = self._connection.receive(ANSWER_SECONDS)
            raise HungUpError(f"the producer sent an unexpected message: {message['type']!r}")
        if self._grant_table.epoch != self._epoch:
            self._resume()
            return 0
        # After the marks: what they count may be the last block.
        if (size := self._grant_table.size) != self.image.size:
            self.image = self.image.ending_at(size)
        return marks.count(mark_of(self._epoch))

    def grants(self, count: int) -> list[Grant]:
        """Return the grants of the next ``count`` blocks, which ``wait`` has returned."""
        first = self.turn.next - self._epoch_began
        return [self._grant_table.read(number) for number in range(first, first + count)]

    def block(self, grant: Grant, place: int) -> memoryview:
        """Return a granted block in shared memory, without copying it; read-only and page-aligned."""
        begin = place % self.image.blocks * self.image.block
        return self._memory.slot(grant.slot)[: self.image.layout.read_size - begin]

    def zeros(self, place: int) -> BlockZeros:
        """Return what of a granted block is zeros in place of data; right if ``free`` then returns True."""
        return BlockZeros.from_message(self._connection.request("zeros", block=place))

    def free(self, count: int) -> bool:
        """Free the next ``count`` blocks after copying them, and advance past them.

        False: the producer had revoked them before; copy them again.
        """
        if self._grant_table.epoch != self._epoch:
            self._resume()
            return False
        self.turn = self.turn.advanced(count)
        # It fits: a producer that takes nothing grants nothing. ``wait`` notices one that has ended.
        post(self._freed, bytes(count))
        return True

    def _resume(self) -> None:
        """Begin a new epoch at the next block to copy."""
        self._epoch = self._connection.request("resume", block=self.turn.next)["epoch"]
        self._epoch_began = self.turn.next

    def close(self) -> None:
        """Leave the producer."""
        self._connection.close()
        self._memory.close()
        self._grant_table.close()
        os.close(self._filled)
        os.close(self._freed)
