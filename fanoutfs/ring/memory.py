"""The slots: K blocks of anonymous shared memory (memfd), in huge pages where possible.

When the kernel copies to readers it looks up each page. With pages of 4 KiB that look-up takes more than a
third of the time: eight direct readers of a 64 MiB ring got 0.62 of the throughput of a small constant
buffer, and 0.91 with pages of 2 MiB (docs/measurements.md). Huge pages for shared memory are usually off
(shmem_enabled is "never"), but MADV_COLLAPSE (Linux 6.1, madvise(2)) makes them on demand whatever the
setting. It requires mapping and file to be aligned to a huge page, hence the mapping at a chosen address, and
a page to be present, hence the touch.

Memory is allocated CHUNK by CHUNK when slots are first lent, and is not locked.
"""

import ctypes
import errno
import fcntl
import logging
import mmap
import os

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.units import MIB, format_size

log = logging.getLogger(__name__)

HUGE_PAGE = 2 * MIB
"""On x86-64, and on arm64 with pages of 4 KiB; elsewhere MADV_COLLAPSE fails, and small pages are used."""

CHUNK = 32 * MIB
"""Bytes allocated at a time: each MADV_COLLAPSE waits 5 ms for all processors, whatever its size."""

MADV_COLLAPSE, MAP_FIXED, MAP_NORESERVE = 25, 0x10, 0x4000
"""linux/mman.h; Python 3.11's mmap does not name them."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)  # fmt: skip


F_SEAL_FUTURE_WRITE = 0x10
"""linux/fcntl.h, Linux 5.1: the existing writable mapping stays, and no other can be made."""


def make_memfd(name: str) -> int:
    """Return new shared memory that can be sealed. Raise UnusableError where that is not permitted."""
    try:
        return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EACCES):
            raise
        raise UnusableError(
            f"no memory can be shared here: memfd_create(2): {reason(error)}; permit it in the system call "
            "filter of this container or service"
        ) from error


def seal(fd: int) -> None:
    """Make this memfd read-only for every process it is passed to; the existing writable mapping stays."""
    seals = F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)


def _map_aligned(fd: int, size: int, protection: int) -> tuple[mmap.mmap, int]:
    """Map a memfd at a multiple of HUGE_PAGE; return the mapping around it, and the memfd's offset in that.

    Python's mmap takes no address: reserve address space, and map the memfd over an aligned part of it.
    """
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
    room = mmap.mmap(-1, size + HUGE_PAGE, flags=flags)
    address = ctypes.addressof(ctypes.c_char.from_buffer(room))
    begin = -address % HUGE_PAGE
    fixed = mmap.MAP_SHARED | MAP_FIXED
    if _libc.mmap(address + begin, size, protection, fixed, fd, 0) != address + begin:
        error = ctypes.get_errno()
        raise OSError(error, f"the ring can't be mapped: {os.strerror(error)}")
    # Bytes of the source stand in no core dump.
    room.madvise(mmap.MADV_DONTDUMP)
    return room, begin


def _rounded(size: int) -> int:
    return -(-size // HUGE_PAGE) * HUGE_PAGE


@attrs.define(eq=False)
class Memory:
    """K slots of ``block`` bytes, page-aligned, one after the other; this process alone can write them."""

    slots: int
    block: int
    fd: int = attrs.field(init=False)
    view: memoryview = attrs.field(init=False)
    """All slots; one is ``view[slot * block : (slot + 1) * block]``."""
    _room: mmap.mmap = attrs.field(init=False)
    _begin: int = attrs.field(init=False)
    """The offset of the first slot in ``_room``; its address is a multiple of HUGE_PAGE."""
    _size: int = attrs.field(init=False)
    _ready: set[int] = attrs.field(factory=set, init=False)
    """The chunks already allocated."""

    def __attrs_post_init__(self) -> None:
        self._size = _rounded(self.slots * self.block)
        self.fd = make_memfd("fanoutfs-ring")
        try:
            os.ftruncate(self.fd, self._size)
            self._room, self._begin = _map_aligned(self.fd, self._size, mmap.PROT_READ | mmap.PROT_WRITE)
        except OSError as error:
            os.close(self.fd)
            raise UnusableError(
                f"there can't be a ring of {format_size(self._size)} here: {reason(error)}; name a smaller "
                "--ring, or raise the limits of this process (ulimit -v, ulimit -f)"
            ) from error
        seal(self.fd)
        self.view = memoryview(self._room)[self._begin : self._begin + self.slots * self.block]

    def slot(self, slot: int) -> memoryview:
        """Return one slot, writable."""
        return self.view[slot * self.block : (slot + 1) * self.block]

    def make_ready(self, slot: int) -> int:
        """Allocate memory for a slot, in huge pages if possible; takes milliseconds, in a worker thread.

        Return how many bytes were allocated.
        """
        made = 0
        for chunk in range(slot * self.block // CHUNK, ((slot + 1) * self.block - 1) // CHUNK + 1):
            if chunk not in self._ready:
                self._ready.add(chunk)
                length = min(CHUNK, self._size - chunk * CHUNK)
                self._make(chunk * CHUNK, length)
                made += length
        return made

    def _make(self, begin: int, length: int) -> None:
        begin += self._begin
        for page in range(begin, begin + length, HUGE_PAGE):
            self._room[page] = 0
        try:
            self._room.madvise(MADV_COLLAPSE, begin, length)
        except OSError as error:
            # Only speed is lost. ENOMEM and EAGAIN may be temporary, other errors are not.
            log.info("part of the ring has small pages: %s", error.strerror)

    def close(self) -> None:
        """Close the descriptor. The mapping goes with its last view: a read may still be under way."""
        os.close(self.fd)
        self.view = memoryview(b"")


@attrs.define(eq=False)
class ReadOnlyMemory:
    """The slots as a consumer in another process maps them: read-only."""

    fd: int
    """The memfd, owned by this object."""
    slots: int
    block: int
    view: memoryview = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        size = _rounded(self.slots * self.block)
        room, begin = _map_aligned(self.fd, size, mmap.PROT_READ)
        self.view = memoryview(room)[begin : begin + self.slots * self.block].toreadonly()

    def slot(self, slot: int) -> memoryview:
        """Return one slot."""
        return self.view[slot * self.block : (slot + 1) * self.block]

    def close(self) -> None:
        """Close the descriptor; the mapping goes with its last view."""
        os.close(self.fd)
        self.view = memoryview(b"")
