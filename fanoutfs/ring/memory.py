"""The slots: K blocks of anonymous shared memory (memfd), taken page by page as they are first written."""

import mmap
import os

import attrs


@attrs.define(eq=False)
class Memory:
    """K slots of ``block`` bytes, page-aligned, one after the other; locked nowhere."""

    slots: int
    block: int
    fd: int = attrs.field(init=False)
    view: memoryview = attrs.field(init=False)
    """All of it; a slot is ``view[slot * block : (slot + 1) * block]``."""

    def __attrs_post_init__(self) -> None:
        self.fd = os.memfd_create("fanoutfs-ring", os.MFD_CLOEXEC)
        os.ftruncate(self.fd, self.slots * self.block)
        self.view = memoryview(mmap.mmap(self.fd, self.slots * self.block))

    def slot(self, slot: int) -> memoryview:
        """Give one slot, writable."""
        return self.view[slot * self.block : (slot + 1) * self.block]

    def close(self) -> None:
        """Close the descriptor. The mapping goes with its last view: a read may still be under way."""
        os.close(self.fd)
        self.view = memoryview(b"")
