"""The slots: K blocks of anonymous shared memory (memfd), in huge pages where that can be had.

What the kernel copies to readers it looks up page by page. With pages of 4 KiB that look-up costs more than a
third of the whole: eight direct readers of a 64 MiB ring got 0.62 of what a small constant buffer gives, with
pages of 2 MiB 0.91 (docs/measurements.md). Systems have huge pages for shared memory switched off
(shmem_enabled is "never"), but MADV_COLLAPSE (Linux 6.1, madvise(2)) makes them on demand, whatever is
switched. It wants mapping and file aligned to a huge page, hence the mapping at a chosen address, and a page
there already, hence the touch.

Memory is taken CHUNK by CHUNK as slots are first lent, and locked nowhere.
"""

import ctypes
import fcntl
import logging
import mmap
import os

import attrs

from fanoutfs.units import MIB

log = logging.getLogger(__name__)

HUGE_PAGE = 2 * MIB
"""On x86-64, and on arm64 with pages of 4 KiB; elsewhere MADV_COLLAPSE refuses, and small pages serve."""

CHUNK = 32 * MIB
"""What is made at a time: each MADV_COLLAPSE waits for all processors, 5 ms, however much it makes."""

MADV_COLLAPSE, MAP_FIXED, MAP_NORESERVE = 25, 0x10, 0x4000
"""linux/mman.h; Python 3.11's mmap does not name them."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)  # fmt: skip


F_SEAL_FUTURE_WRITE = 0x10
"""linux/fcntl.h, Linux 5.1: the writable mapping that is there stays, and there will be no other."""


def seal(fd: int) -> None:
    """Let whoever gets this memfd only read it; what is mapped for writing already stays so."""
    seals = F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)


def _map_aligned(fd: int, size: int, protection: int) -> tuple[mmap.mmap, int]:
    """Map a memfd at a multiple of HUGE_PAGE; gives the room around it, and where in that it begins.

    Python's mmap takes no address: room is reserved, and the memfd put over an aligned part of it.
    """
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
    room = mmap.mmap(-1, size + HUGE_PAGE, flags=flags)
    address = ctypes.addressof(ctypes.c_char.from_buffer(room))
    begin = -address % HUGE_PAGE
    fixed = mmap.MAP_SHARED | MAP_FIXED
    if _libc.mmap(address + begin, size, protection, fixed, fd, 0) != address + begin:
        error = ctypes.get_errno()
        raise OSError(error, f"the ring can't be mapped: {os.strerror(error)}")
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
    """All of it; a slot is ``view[slot * block : (slot + 1) * block]``."""
    _room: mmap.mmap = attrs.field(init=False)
    _begin: int = attrs.field(init=False)
    """Where in ``_room`` the slots begin: at a multiple of HUGE_PAGE."""
    _size: int = attrs.field(init=False)
    _ready: set[int] = attrs.field(factory=set, init=False)
    """Chunks that were made."""

    def __attrs_post_init__(self) -> None:
        self._size = _rounded(self.slots * self.block)
        self.fd = os.memfd_create("fanoutfs-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, self._size)
        self._room, self._begin = _map_aligned(self.fd, self._size, mmap.PROT_READ | mmap.PROT_WRITE)
        seal(self.fd)
        self.view = memoryview(self._room)[self._begin : self._begin + self.slots * self.block]

    def slot(self, slot: int) -> memoryview:
        """Return one slot, writable."""
        return self.view[slot * self.block : (slot + 1) * self.block]

    def make_ready(self, slot: int) -> int:
        """Have memory for a slot, in huge pages if that can be; takes milliseconds, in a worker thread.

        Gives how many bytes were made for it.
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
            # Nothing is lost but speed; ENOMEM and EAGAIN may pass, the others will not.
            log.info("the ring has small pages in part: %s", error.strerror)

    def close(self) -> None:
        """Close the descriptor. The mapping goes with its last view: a read may still be under way."""
        os.close(self.fd)
        self.view = memoryview(b"")


@attrs.define(eq=False)
class ReadOnlyMemory:
    """The slots as a consumer in another process sees them: it can't write there."""

    fd: int
    """The memfd; this object's from now on."""
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
        """Let go of it; the mapping goes with its last view."""
        os.close(self.fd)
        self.view = memoryview(b"")
