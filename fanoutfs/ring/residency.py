"""Which block of the image is in which slot of the ring.

The image is a circle of blocks, the ring a set of slots. The resident blocks are stored twice: as a map from
block to slot, and as *arcs*, the sorted list of unbroken stretches of resident blocks, none across the end of
the image. Readers go straight on, so there are about as many arcs as readers, however many slots there are.
"The first absent block from here" or "the highest resident block below" is a bisection of that short list.

Invariants: arcs are disjoint, never adjoin, never empty; the blocks in arcs are exactly the keys of the map;
every slot is either free, held by a resident block, or on loan to a read under way.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

import attrs


@attrs.define(eq=False)
class Residency:
    """The bookkeeping of blocks in slots; ``Memory`` has their content."""

    slots: int
    blocks: int
    """The image's blocks."""
    slot_of: dict[int, int] = attrs.field(factory=dict, init=False)
    used: int = attrs.field(default=0, init=False)
    """No slot from this one on was ever used: their memory is not yet allocated."""
    _starts: list[int] = attrs.field(factory=list, init=False)
    _ends: list[int] = attrs.field(factory=list, init=False)
    _free: dict[int, None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # popitem takes the last key: the low slots are used first.
        self._free = dict.fromkeys(range(self.slots - 1, -1, -1))

    @property
    def free(self) -> int:
        """How many slots hold nothing and are not on loan."""
        return len(self._free)

    def arcs(self) -> Iterator[tuple[int, int]]:
        """Return the resident stretches as (first, one past the last), in order."""
        return zip(self._starts, self._ends, strict=True)

    def lend_slot(self, after: int | None) -> int:
        """Lend a free slot to a read: the one next to slot ``after`` if it is free, else the last one freed.

        Blocks that are adjacent both in the image and in memory are returned in one piece.
        """
        slot = -1 if after is None else after + 1
        if slot in self._free:
            del self._free[slot]
        else:
            slot, _ = self._free.popitem()
        self.used = max(self.used, slot + 1)
        return slot

    def take_back(self, slots: Iterable[int]) -> None:
        """Take back lent slots that were not filled."""
        self._free.update(dict.fromkeys(slots))

    def add(self, block: int, slot: int) -> None:
        """Record ``block``, absent until now, as resident in the lent ``slot``."""
        assert block not in self.slot_of
        self.slot_of[block] = slot
        i = bisect_right(self._starts, block)
        joins_left = i > 0 and self._ends[i - 1] == block
        joins_right = i < len(self._starts) and self._starts[i] == block + 1
        if joins_left and joins_right:
            self._ends[i - 1] = self._ends.pop(i)
            del self._starts[i]
        elif joins_left:
            self._ends[i - 1] = block + 1
        elif joins_right:
            self._starts[i] = block
        else:
            self._starts.insert(i, block)
            self._ends.insert(i, block + 1)

    def remove(self, block: int) -> None:
        """Record ``block`` as absent; its slot is free."""
        self._free[self.slot_of.pop(block)] = None
        i = bisect_right(self._starts, block) - 1
        start, end = self._starts[i], self._ends[i]
        if start == block and end == block + 1:
            del self._starts[i], self._ends[i]
        elif start == block:
            self._starts[i] = block + 1
        elif end == block + 1:
            self._ends[i] = block
        else:
            self._ends[i] = block
            self._starts.insert(i + 1, block + 1)
            self._ends.insert(i + 1, end)

    def first_absent(self, begin: int, end: int) -> int | None:
        """Return the first block of [begin, end) that is not resident, or None.

        The stretch may cross the end of the image; ``blocks`` is added to a block found beyond it.
        """
        i = bisect_right(self._starts, begin) - 1
        absent = self._ends[i] if i >= 0 and self._ends[i] > begin else begin
        if absent == self.blocks < end and self._starts[0] == 0:
            absent += self._ends[0]
        return absent if absent < end else None

    def absent(self, begin: int, end: int) -> int | None:
        """Return the first absent block from ``begin`` to before ``end``, both unrolled, or None."""
        lap = begin // self.blocks * self.blocks
        block = self.first_absent(begin - lap, end - lap)
        return None if block is None else block % self.blocks

    def first_resident(self, begin: int, end: int) -> int:
        """Return the first block of [begin, end) that is resident, or ``end``."""
        if begin in self.slot_of:
            return begin
        i = bisect_right(self._starts, begin)
        return min(self._starts[i], end) if i < len(self._starts) else end

    def count_within(self, stretches: Iterable[tuple[int, int]]) -> int:
        """Return how many resident blocks lie within ascending, disjoint stretches [begin, end)."""
        rest = iter(stretches)
        end_of_image = (self.blocks, self.blocks)
        begin, stop = next(rest, end_of_image)
        count = 0
        for start, end in self.arcs():
            while begin < end:
                count += max(0, min(end, stop) - max(start, begin))
                if stop > end:
                    break
                begin, stop = next(rest, end_of_image)
        return count

    def highest_below(self, end: int) -> int | None:
        """Return the highest resident block below ``end``, or None."""
        i = bisect_right(self._starts, end - 1) - 1
        return min(self._ends[i], end) - 1 if i >= 0 else None
