"""The grant table: where a consumer finds the blocks that it may copy, in memory shared with the producer.

The producer *grants* blocks to a consumer in the order in which the consumer copies them. A *grant* is the
slot that holds the block and, if the consumer verifies, the block's digest. The n-th grant of an *epoch* is
for the n-th block after the epoch's first, and is written at index n modulo the table's capacity. *Filled*
counts the granted blocks, *freed* those that the consumer has copied (``tally.py``).
The producer overwrites a grant only after its block was freed.

An epoch ends when the producer revokes what it had granted, because the consumer copied nothing for too long
and other readers need the slots. The epoch's number changes *before* a slot is reused. So a consumer that
finds the same epoch after copying a block as before has copied the right bytes; if the epoch has changed, it
has to copy the block again.

The producer writes the table, the consumer only reads it; each number lies in one aligned machine word.
"""

import mmap
import os
import struct

import attrs

from fanoutfs.digests.digest import DIGEST_SIZE
from fanoutfs.ring.memory import make_memfd, seal
from fanoutfs.units import PAGE

_EPOCH = struct.Struct("@Q")
_SIZE = struct.Struct("@8xQ")
_GRANT = struct.Struct(f"@II8x{DIGEST_SIZE}s")
_FIRST = PAGE
"""The offset of the first grant."""


@attrs.frozen
class Grant:
    """Where a granted block lies."""

    slot: int
    has_zeros: bool
    """Some bytes are zeros in place of data that can't be read; the producer knows which."""
    digest: bytes
    """All zeros if the consumer does not verify."""


@attrs.define(eq=False)
class GrantTable:
    """Grants for ``capacity`` blocks at a time; the producer creates it, the consumer attaches to it."""

    fd: int
    capacity: int
    _map: mmap.mmap

    @classmethod
    def create(cls, capacity: int) -> "GrantTable":
        """Create a table, in its first epoch, that only this process can write."""
        size = _FIRST + capacity * _GRANT.size
        fd = make_memfd("fanoutfs-grants")
        try:
            os.ftruncate(fd, size)
            table = cls(fd, capacity, mmap.mmap(fd, size))
        except OSError:
            # mmap needs a second descriptor, and there may be none left.
            os.close(fd)
            raise
        seal(fd)
        return table

    @classmethod
    def attach(cls, fd: int, capacity: int) -> "GrantTable":
        """Map the table that a producer created, read-only; this object owns the descriptor from now on."""
        return cls(fd, capacity, mmap.mmap(fd, _FIRST + capacity * _GRANT.size, prot=mmap.PROT_READ))

    @property
    def epoch(self) -> int:
        """The number of the current epoch."""
        number: int = _EPOCH.unpack_from(self._map, 0)[0]
        return number

    def next_epoch(self) -> None:
        """End the epoch."""
        _EPOCH.pack_into(self._map, 0, self.epoch + 1)

    @property
    def size(self) -> int:
        """The bytes of the image. It changes once at most, when the end of a pipe is found."""
        number: int = _SIZE.unpack_from(self._map, 0)[0]
        return number

    def set_size(self, size: int) -> None:
        """Set the bytes of the image; before a block is granted that ends there."""
        _SIZE.pack_into(self._map, 0, size)

    def write(self, number: int, grant: Grant) -> None:
        """Write the grant for the ``number``-th block of the epoch."""
        at = self._offset(number)
        _GRANT.pack_into(self._map, at, grant.slot, grant.has_zeros, grant.digest)

    def read(self, number: int) -> Grant:
        """Return the grant for the ``number``-th block of the epoch."""
        slot, has_zeros, digest = _GRANT.unpack_from(self._map, self._offset(number))
        return Grant(slot, bool(has_zeros), digest)

    def _offset(self, number: int) -> int:
        return _FIRST + number % self.capacity * _GRANT.size

    def close(self) -> None:
        """Unmap the table and close its descriptor."""
        self._map.close()
        os.close(self.fd)
