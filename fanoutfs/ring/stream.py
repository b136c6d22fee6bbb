"""A reader's position, derived from its requests alone: reassembly, as TCP does it.

A reader's requests may overlap, come out of order (read-ahead, several threads, libaio) and be answered out
of order. Its *position* is the end of what it has received without a gap since its last jump; pieces beyond
are kept until the gap closes. A request far from the position is a *jump*: the position moves there and the
stream starts again. A reader is *sequential* from its second adjoining read on, or from the first if that is
at offset 0 or at the write head; before that its next reads are unknown.

Bytes throughout. No I/O, no clock.
"""

from bisect import insort

import attrs

from fanoutfs.units import MIB

AHEAD = 16 * MIB
"""A request at most this far ahead of the position belongs to the same stream: enough for eight requests of
2 MiB at once (qemu-img convert)."""

BEHIND = 8 * MIB
"""A request at most this far behind is not a jump. Through the page cache a reader is up to two read-aheads
of 1 MiB behind its position, and the kernel requests single pages again after dropping them (seen up to
2.1 MiB behind). Treated as a jump, that would cost the reader its place in the pack."""

SEQUENTIAL_FROM = 2
"""The number of adjoining reads that make a reader sequential."""

MOST_PIECES = 64
"""With more gaps than this it is a reader that skips, not one stream read by many threads."""


@attrs.define(eq=False)
class Stream:
    """One handle's requests, reassembled."""

    position: int = attrs.field(default=0, init=False)
    sequential: bool = attrs.field(default=False, init=False)
    begun: bool = attrs.field(default=False, init=False)
    since: int = attrs.field(default=0, init=False)
    """Where it began or last jumped to: everything from there to the position was answered."""
    straight: bool = attrs.field(default=False, init=False)
    """It is sequential with no answer beyond the position: a read there just moves the position."""
    _adjoining: int = attrs.field(default=0, init=False)
    _asked: int = attrs.field(default=0, init=False)
    _pieces: list[tuple[int, int]] = attrs.field(factory=list, init=False)

    def begin(self, offset: int, size: int, head: int = 0) -> bool:
        """Register a request of ``size`` bytes at ``offset``; return True if it is the first one, or a jump.

        ``head`` is the producer's write head, in bytes.
        """
        if self.begun and self.position - BEHIND <= offset <= self.position + AHEAD:
            if offset in (self.position, self._asked):
                self._adjoining += 1
                self.sequential = self.sequential or self._adjoining >= SEQUENTIAL_FROM
                self.straight = self.sequential and not self._pieces
            self._asked = max(self._asked, offset + size)
            return False
        self.jump(offset, straight=offset in (0, head))
        self._adjoining = 1
        self._asked = offset + size
        return True

    def jump(self, offset: int, *, straight: bool) -> None:
        """Begin anew at ``offset``, before a request there; ``straight``: it is known to read straight on."""
        self.begun = True
        self.position = self.since = self._asked = offset
        self._pieces.clear()
        self._adjoining = 0
        self.sequential = self.straight = straight

    def share(self, other: "Stream") -> None:
        """Record the answers to a stream through the same page cache: this one need not request them."""
        self.acknowledge(other.since, other.position - other.since)
        for begin, end in other._pieces:  # noqa: SLF001 (of its own class)
            self.acknowledge(begin, end - begin)

    def acknowledge(self, offset: int, size: int) -> None:
        """Record the answer to a request; the position moves to the next gap."""
        end = offset + size
        if offset <= self.position:
            self.position = max(self.position, end)
        elif offset <= self.position + AHEAD:
            insort(self._pieces, (offset, end))
            if len(self._pieces) > MOST_PIECES or end - self.position > AHEAD:
                self.position = self._pieces[0][1]
        while self._pieces and self._pieces[0][0] <= self.position:
            self.position = max(self.position, self._pieces.pop(0)[1])
        self.straight = self.sequential and not self._pieces
