"""The sheet: what the producer tells one consumer about the blocks it may copy, in memory that both see.

Blocks are *granted* to a consumer in the order of its way, each with a *ticket*: in which slot it lies, and
its digest where the consumer verifies. The n-th ticket of a *term* is for the n-th block from where the
term began, and stands at place n modulo their number. How many there are says the eventfd *filled*, a
counting semaphore; how many the consumer has copied says *freed*. The producer never writes a ticket over
one whose block is not freed.

A term ends when the producer takes back what it had granted (the consumer took nothing for too long, and
others need the slots): its number changes, *before* a slot is used for anything else. So whoever has copied
a block, and finds the same term afterwards as before, has copied the right bytes; who finds another must
copy that block again.

The producer writes the sheet, the consumer only reads it; each number lies in one aligned word.
"""

import mmap
import os
import struct

import attrs

from fanoutfs.digests.digest import DIGEST_SIZE
from fanoutfs.ring.memory import seal
from fanoutfs.units import PAGE

_TERM = struct.Struct("@Q")
_TICKET = struct.Struct(f"@I12x{DIGEST_SIZE}s")
_FIRST = PAGE
"""Where the tickets begin."""


@attrs.frozen
class Grant:
    """Where a granted block lies."""

    slot: int
    digest: bytes
    """Of zeros where none was asked for."""


@attrs.define(eq=False)
class GrantTable:
    """Tickets for ``tickets`` blocks at a time; made by the producer or seen by the consumer."""

    fd: int
    tickets: int
    _map: mmap.mmap

    @classmethod
    def make(cls, tickets: int) -> "GrantTable":
        """Make one, of the first term, that only this process can write."""
        size = _FIRST + tickets * _TICKET.size
        fd = os.memfd_create("fanoutfs-sheet", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(fd, size)
            sheet = cls(fd, tickets, mmap.mmap(fd, size))
        except OSError:
            # The mapping wants a descriptor of its own.
            os.close(fd)
            raise
        seal(fd)
        return sheet

    @classmethod
    def see(cls, fd: int, tickets: int) -> "GrantTable":
        """See one that the producer has made; the descriptor is this object's from now on."""
        return cls(fd, tickets, mmap.mmap(fd, _FIRST + tickets * _TICKET.size, prot=mmap.PROT_READ))

    @property
    def term(self) -> int:
        """The number of the term that is under way."""
        number: int = _TERM.unpack_from(self._map, 0)[0]
        return number

    def next_term(self) -> None:
        """End the term."""
        _TERM.pack_into(self._map, 0, self.term + 1)

    def write(self, number: int, slot: int, digest: bytes) -> None:
        """Write the ticket for the ``number``-th block of the term."""
        _TICKET.pack_into(self._map, self._at(number), slot, digest)

    def read(self, number: int) -> Grant:
        """Read it."""
        return Grant(*_TICKET.unpack_from(self._map, self._at(number)))

    def _at(self, number: int) -> int:
        return _FIRST + number % self.tickets * _TICKET.size

    def close(self) -> None:
        """Let go of it."""
        self._map.close()
        os.close(self.fd)
