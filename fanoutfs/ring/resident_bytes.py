"""Bytes of the image, where they are in the slots."""

import attrs

from fanoutfs.ring.memory import Memory
from fanoutfs.ring.residency import Residency

Buffer = bytes | bytearray | memoryview


@attrs.define(eq=False)
class ResidentBytes:
    """The bytes of resident blocks, as buffers that are valid until the next checkpoint."""

    memory: Memory
    residency: Residency
    size: int
    """Of the image, in dense bytes."""

    def find(self, offset: int, size: int) -> Buffer | None:
        """Return bytes; None if a block of them is absent, or they cross the end of the image."""
        if offset + size > self.size:
            return None
        memory = self.memory
        block, begin = divmod(offset, memory.block)
        slot = self.residency.slot_of.get(block)
        if slot is None:
            return None
        if begin + size > memory.block:
            return self._join(block, slot, begin, size)
        start = slot * memory.block + begin
        return memory.view[start : start + size]

    def _join(self, block: int, slot: int, begin: int, size: int) -> Buffer | None:
        """Return bytes of several blocks: one view if the slots adjoin, else a joined copy."""
        view, length, slot_of = self.memory.view, self.memory.block, self.residency.slot_of
        start = slot * length + begin
        parts = [view[start : (slot + 1) * length]]
        adjoining = True
        left = size - (length - begin)
        while left > 0:
            block += 1
            before, here = slot, slot_of.get(block)
            if here is None:
                return None
            slot = here
            adjoining = adjoining and slot == before + 1
            part = min(left, length)
            parts.append(view[slot * length : slot * length + part])
            left -= part
        return view[start : start + size] if adjoining else b"".join(parts)
