"""R3 and R4: which position waits for which. No I/O, no clock.

A consumer is *in reach* of one in front if it is at most K blocks behind it, K being the number of slots;
``Cursors.is_behind`` decides which of two is behind. The one in front waits if going on would evict a block
that one in reach behind it still needs, or if its own next block and that one's can't both be resident.

On a line the hindmost waits for no other. On the circle each may have one behind it: a *ring of waits*, in
which all wait and none would ever move. Each waiting position waits for exactly one other; so following these
links finds the ring, and a position in a ring need not wait.

Cost: the answers do not change between the first candidate that a decision tries and the one that it reads,
because a candidate that has to wait takes nothing. So each answer is cached for the decision, and all of them
together cost O(C): the hindmost and the blocker of a position are found once, and each link of the waits is
followed once.
"""

from functools import cached_property

import attrs

from fanoutfs.ring.cursor import Position
from fanoutfs.ring.cursors import Cursors
from fanoutfs.ring.eviction import EvictionOrder, Victim
from fanoutfs.ring.residency import Residency

FEW = 16
"""More positions than this are examined all at once: in a crowd that is cheaper than one by one."""

WHOLE_SHARE = 8
"""A whole run takes at most one slot in this many."""


@attrs.define(eq=False, kw_only=True)
class Pace:
    """Decides which positions have to wait, for one decision."""

    cursors: Cursors
    residency: Residency
    victims: EvictionOrder
    slots: int
    reserve: int
    """Slots that the sweep leaves free."""
    run: int
    """Most blocks in one read."""
    look: int
    """Blocks of look-ahead of each consumer."""
    strict: bool
    in_order: bool
    """What is evicted can't be read again."""
    stops: dict[Position, Position | None] = attrs.field(factory=dict, init=False)
    """The results of ``stopped_by``."""
    _reaches: dict[Position, tuple[int, Position | None]] = attrs.field(factory=dict, init=False)
    _blockers: dict[Position, Position | None] = attrs.field(factory=dict, init=False)
    _in_rings: dict[Position, bool] = attrs.field(factory=dict, init=False)

    @cached_property
    def packs(self) -> int:
        """The number of packs."""
        return self.cursors.packs(self.slots)

    @cached_property
    def together(self) -> bool:
        """Whether all positions are within K blocks of one another, and one pack."""
        return self.cursors.spread() <= self.slots and self.packs == 1

    @cached_property
    def _span(self) -> int:
        """How many blocks a pack may span."""
        # Another pack's look-ahead takes slots that this pack's span must not count on: that would leave a
        # hole that moves along with the pack.
        return max(1, self.slots - self.reserve - (self.packs - 1) * self.look)

    @cached_property
    def _hindmosts(self) -> dict[Position, Position]:
        return self.cursors.hindmosts(self.slots) if self.strict else {}

    @cached_property
    def _outran(self) -> dict[Position, Position]:
        """The positions that, without R4, may not even have their own block; each with its blocker."""
        blocks, room, at = self.cursors.blocks, self._span, self._hindmosts.items()
        if self.together:
            return {s: h for s, h in at if self._room_before(h) <= (s.block - h.block) % blocks}
        return {s: h for s, h in at if room <= (s.block - h.block) % blocks}

    @cached_property
    def _can_be_ring(self) -> bool:
        """Whether there can be a ring of waits at all.

        Each of its links leads back by K blocks at most, and all of them together round the circle. If
        every need ends at the end of the image, the circle is a line: each waits for one at a lower block.
        """
        return bool(self.cursors.uneven) and self.cursors.blocks - self.cursors.spread() <= self.slots

    def reach(self, position: Position) -> tuple[int, Position | None]:
        """Return how many blocks from its own on a position may have, and which position limits it."""
        found = self._reaches.get(position)
        if found is None:
            found = self._reaches[position] = self._find_reach(position)
        return found

    def _find_reach(self, position: Position) -> tuple[int, Position | None]:
        blocks, cursors = self.cursors.blocks, self.cursors
        hindmost = cursors.farthest_behind(position, self.slots) if self.strict else None
        if hindmost is None:
            return blocks, None
        if not cursors.is_behind(hindmost, position, self.slots):
            hindmost = self._hindmosts.get(position)
            if hindmost is None:
                return blocks, None
        return self._room_before(hindmost) - (position.block - hindmost.block) % blocks, hindmost

    def _room_before(self, hindmost: Position) -> int:
        """Return how many blocks, from the hindmost's own on, its pack may have."""
        if not self.together:
            return self._span
        # With other packs the head would leave for them meanwhile, and return a turn later.
        return self._border(hindmost.block + self._span) - hindmost.block

    def stopped_by(self, position: Position) -> Position | None:
        """Return the position that keeps this one from its own block, which is absent and requested.

        None: it may have that block, or R4 lets it go on all the same.
        """
        if position in self.stops:
            return self.stops[position]
        found = self._ahead_of(position)
        if found is not None and self.in_ring_of_waits(position):
            found = None
        self.stops[position] = found
        return found

    def _ahead_of(self, position: Position) -> Position | None:
        """Return the hindmost if a position is too far ahead of it to have any more blocks."""
        if len(self._reaches) >= FEW:
            return self._outran.get(position)
        reach, hindmost = self.reach(position)
        return hindmost if reach <= 0 else None

    @property
    def whole(self) -> int:
        """The blocks of a whole run: an eighth of the slots at most."""
        return max(1, min(self.run, self.slots // WHOLE_SHARE))

    def _border(self, block: int) -> int:
        """Return the last boundary between whole runs at or before an unrolled block."""
        lap = block // self.cursors.blocks * self.cursors.blocks
        return lap + (block - lap) // self.whole * self.whole

    def unblocks(self, before: int, block: int) -> bool:
        """Return whether a consumer's move from ``before`` to ``block`` may unblock one that waits for it.

        Both are unrolled. Only while all are together.
        """
        room = max(1, self.slots - self.reserve)
        return self._border(before + room) != self._border(block + room)

    def blocker_of(self, victim: Victim, on_behalf_of: Position | None) -> Position | None:
        """Return the position that needs the victim and so makes ``on_behalf_of`` wait, or None.

        A reader that is not sequential (None) has the reserve, and waits for any position in reach of the
        block.
        """
        needed_by = victim.needed_by
        if needed_by is None or not self.strict:
            return None
        if self.in_order:
            holds = victim.next_use <= self.slots
        elif on_behalf_of is None:
            holds = self.reserve > 0 and victim.next_use <= self.slots
        else:
            blocks = self.cursors.blocks
            distance = (on_behalf_of.block - needed_by.block) % blocks
            between = victim.next_use < distance <= self.slots
            had_it = (victim.block - on_behalf_of.block) % blocks >= on_behalf_of.need
            holds = between and (needed_by.need > distance or had_it)
        return needed_by if holds else None

    def blocker(self, position: Position) -> Position | None:
        """Return the position that one waits for; None: it waits for the source, or not at all."""
        if position not in self._blockers:
            self._blockers[position] = self._find_blocker(position)
        return self._blockers[position]

    def _find_blocker(self, position: Position) -> Position | None:
        blocks, slot_of = self.cursors.blocks, self.residency.slot_of
        waited_for = [
            request.at - cursor.block
            for cursor in position.cursors
            for request in cursor.requests
            if request.at % blocks not in slot_of
        ]
        if not waited_for:
            return None
        # A block behind the cursor was requested late: ``reach`` does not cover it.
        nearest = min([ahead for ahead in waited_for if ahead >= 0], default=None)
        if nearest is not None:
            if (hindmost := self._ahead_of(position)) is not None:
                return hindmost
            reach, hindmost = self.reach(position)
            if hindmost is not None and nearest >= reach:
                return hindmost
        victims = self.victims.first(max(0, self.reserve + 1 - self.residency.free))
        return next(filter(None, (self.blocker_of(victim, position) for victim in victims)), None)

    def in_ring_of_waits(self, position: Position) -> bool:
        """R4: return whether the chain of waits leads back to this position."""
        if not self._can_be_ring:
            return False
        known = self._in_rings
        way: dict[Position, None] = {}
        at: Position | None = position
        while at is not None and at not in known and at not in way:
            way[at] = None
            at = self.blocker(at)
        # A chain that returns to itself is a ring from there on. What leads to it, or to an end, is not.
        in_ring = False
        for passed in way:
            in_ring = in_ring or passed is at
            known[passed] = in_ring
        return known[position]
