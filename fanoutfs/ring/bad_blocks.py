"""What is wrong with resident blocks, and which of them may be read again. No I/O, no clock.

A *bad* block has bytes that could not be read, for whose readers there is an error. A block with *zeros* has
them in place of such bytes. A *hung* block is bad as a whole: a read that hangs may still write to its slot.
It is granted to that read, so it keeps the slot until the source has answered.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import attrs

from fanoutfs.errors import SourceBrokeError
from fanoutfs.layout import Layout
from fanoutfs.ring.rules import Rules

MOST_NAMED = 5
"""How many bad places of a block a message names."""

Places = Mapping[int, Sequence[tuple[int, int]]]
"""Per block, ranges [begin, end) of bytes within it."""

NOWHERE: Places = MappingProxyType({})


@attrs.define(eq=False)
class BadBlocks:
    """The blocks with something wrong, all of them resident."""

    rules: Rules
    size: int
    """Bytes of a block."""
    bad: dict[int, Sequence[tuple[int, int]]] = attrs.field(factory=dict, init=False)
    """Per block, the ranges that could not be read."""
    hung: set[int] = attrs.field(factory=set, init=False)
    _zeros: dict[int, Sequence[tuple[int, int]]] = attrs.field(factory=dict, init=False)
    _error: str = attrs.field(default="", init=False)
    """The reason of the last read error of the source."""

    # Events

    def filled(self, bad: Places, zeros: Places, error: str) -> None:
        """Record what is wrong with blocks that are resident from now on, and the reason, if it is known."""
        self._error = error or self._error
        self.bad.update(bad)
        self._zeros.update(zeros)

    def evicted(self) -> None:
        """Forget the blocks that are not resident any more."""
        for places in (self.bad, self._zeros):
            for block in places.keys() - self.rules.residency.slot_of.keys():
                del places[block]

    def hang(self, blocks: range) -> Places:
        """Record that a read of blocks hangs, before they are filled; return what is bad of them: all."""
        self.rules.grant(blocks)
        self.hung.update(blocks)
        return {block: [(0, self.size)] for block in blocks}

    def came_back(self, blocks: range) -> None:
        """Drop blocks of which a read has hung, and is over: they have to be read again."""
        self.rules.release(blocks)
        for block in blocks:
            self.hung.discard(block)
            self.bad.pop(block, None)
            self.rules.drop_bad(block)

    def try_again(self, block: int) -> None:
        """Drop a block if it has bytes that could not be read before, and they can be read again."""
        if block in self.bad and block not in self.hung and self.rules.intake.can_be_read_again(block):
            self.rules.drop_bad(block)
            del self.bad[block]

    def drop_zeros(self, block: int) -> bool:
        """Drop a block, which nobody copies out, if it has zeros; return whether it had."""
        if self._zeros.pop(block, None) is None:
            return False
        self.rules.drop_bad(block)
        return True

    # Questions

    def is_bad(self, block: int) -> bool:
        """Return whether a resident block has bytes that could not be read."""
        return block in self.bad

    def zeros_in(self, block: int) -> Sequence[tuple[int, int]]:
        """Return the byte ranges of a resident block that hold zeros in place of data."""
        return self._zeros.get(block, ())

    def within(self, offset: int, size: int) -> list[int]:
        """Return the resident blocks that have bad bytes within this range."""
        found = []
        for block in range(offset // self.size, (offset + size - 1) // self.size + 1):
            begin = offset - block * self.size
            bad = self.bad.get(block, ())
            if any(begin < bad_end and bad_begin < begin + size for bad_begin, bad_end in bad):
                found.append(block)
        return found

    def raise_within(self, offset: int, size: int, layout: Layout) -> None:
        """Raise SourceBrokeError if one of these bytes is bad."""
        if self.bad and (blocks := self.within(offset, size)):
            begin, end = layout.offset(offset), layout.end(offset + size)
            raise self._broke(f"{begin} to before {end}, in block {layout.image_block(blocks[0])}")

    def raise_if_bad(self, block: int, layout: Layout) -> None:
        """Raise SourceBrokeError, which names the places, if a block has bad bytes."""
        if bad := self.bad.get(block):
            at = layout.image_block(block) * self.size
            places = ", ".join(f"{at + begin} to before {at + end}" for begin, end in bad[:MOST_NAMED])
            more = len(bad) - MOST_NAMED
            raise self._broke(places + (f", and {more} more of this block" if more > 0 else ""))

    def _broke(self, place: str) -> SourceBrokeError:
        why = f": {self._error}" if self._error else ""
        return SourceBrokeError(f"the source can't be read from byte {place}{why}")
