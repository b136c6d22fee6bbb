"""R3 and R4: who waits for whom. Pure.

A consumer is *in reach* of one in front when it is at most K blocks behind it, K being the slots; which of
two is behind, ``Cursors.is_behind`` says. The one in front has to wait where going on would give up what one
in reach behind it still needs, and where its own next block and that one's can't both be in the ring.

On a line somebody is the hindmost and waits for nobody. On the circle each may have one behind it: a *ring of
waits*, in which all wait and nothing would ever move. Whoever waits has one for whom it waits; so to follow
these from one to the next finds the ring, and whoever is in one need not wait.

Cost: nothing that is answered here changes between the first want of a decision that is tried and the one
that is read, because a want that has to wait takes nothing. So each answer is kept for the decision, and all
of them together cost O(C): the hindmost and the holder of a spot are found once, and each link of the waits
is followed once.
"""

from functools import cached_property

import attrs

from fanoutfs.ring.cursor import Position
from fanoutfs.ring.cursors import Cursors
from fanoutfs.ring.eviction import EvictionOrder, Victim
from fanoutfs.ring.residency import Residency

FEW = 16
"""More spots than these are looked at all together: in a crowd that is cheaper than one by one."""

WHOLE_SHARE = 8
"""A whole run takes one slot in so many at most."""


@attrs.define(eq=False, kw_only=True)
class Pace:
    """Who has to wait, for one decision."""

    order: Cursors
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
    stops: dict[Position, Position | None] = attrs.field(factory=dict, init=False)
    """What ``stopped_by`` has found."""
    _reaches: dict[Position, tuple[int, Position | None]] = attrs.field(factory=dict, init=False)
    _holders: dict[Position, Position | None] = attrs.field(factory=dict, init=False)
    _in_rings: dict[Position, bool] = attrs.field(factory=dict, init=False)

    @cached_property
    def packs(self) -> int:
        """How many packs there are."""
        return self.order.packs(self.slots)

    @cached_property
    def together(self) -> bool:
        """Whether all are within K blocks of one another, and one pack."""
        return self.order.spread() <= self.slots and self.packs == 1

    @cached_property
    def _room(self) -> int:
        """How many blocks a pack may span."""
        # Another pack's look-ahead takes slots from this one's span: a hole that would move along with it.
        return max(1, self.slots - self.reserve - (self.packs - 1) * self.look)

    @cached_property
    def _hindmosts(self) -> dict[Position, Position]:
        return self.order.hindmosts(self.slots) if self.strict else {}

    @cached_property
    def _outran(self) -> dict[Position, Position]:
        """The spots that may not even have their own block but for R4, with those for whose sake."""
        blocks, room, at = self.order.blocks, self._room, self._hindmosts.items()
        if self.together:
            return {s: h for s, h in at if self._room_before(h) <= (s.block - h.block) % blocks}
        return {s: h for s, h in at if room <= (s.block - h.block) % blocks}

    @cached_property
    def _can_be_ring(self) -> bool:
        """Whether there can be a ring of waits at all.

        Each link of one leads back by K blocks at most, and all of them together round the circle. Where all
        ways end at the end of the image the circle is a line: there each waits for one at a lower block.
        """
        return bool(self.order.uneven) and self.order.blocks - self.order.spread() <= self.slots

    def reach(self, spot: Position) -> tuple[int, Position | None]:
        """Return how many blocks from its own on a spot may have, and for whose sake no more."""
        found = self._reaches.get(spot)
        if found is None:
            found = self._reaches[spot] = self._find_reach(spot)
        return found

    def _find_reach(self, spot: Position) -> tuple[int, Position | None]:
        blocks, order = self.order.blocks, self.order
        hindmost = order.farthest_behind(spot, self.slots) if self.strict else None
        if hindmost is None:
            return blocks, None
        if not order.is_behind(hindmost, spot, self.slots):
            hindmost = self._hindmosts.get(spot)
            if hindmost is None:
                return blocks, None
        return self._room_before(hindmost) - (spot.block - hindmost.block) % blocks, hindmost

    def _room_before(self, hindmost: Position) -> int:
        """Return how many blocks from the hindmost's own on its pack may have."""
        if not self.together:
            return self._room
        # Where there are others the head would leave for them meanwhile, and come back a turn later.
        return self._border(hindmost.block + self._room) - hindmost.block

    def stopped_by(self, spot: Position) -> Position | None:
        """Return for whose sake those at a spot may not even have the block where they stand.

        That block is absent and asked for. None: they may have it, or R4 lets them go on all the same.
        """
        if spot in self.stops:
            return self.stops[spot]
        found = self._ahead_of(spot)
        if found is not None and self.in_ring_of_waits(spot):
            found = None
        self.stops[spot] = found
        return found

    def _ahead_of(self, spot: Position) -> Position | None:
        """Return the hindmost when those at a spot are so far ahead of it that they may have nothing more."""
        if len(self._reaches) >= FEW:
            return self._outran.get(spot)
        reach, hindmost = self.reach(spot)
        return hindmost if reach <= 0 else None

    @property
    def whole(self) -> int:
        """The length of a whole run: no more than an eighth of the slots."""
        return max(1, min(self.run, self.slots // WHOLE_SHARE))

    def _border(self, block: int) -> int:
        """Give the last border between whole runs up to an unrolled block."""
        lap = block // self.order.blocks * self.order.blocks
        return lap + (block - lap) // self.whole * self.whole

    def lets_on(self, before: int, block: int) -> bool:
        """Return whether who waits for one that was at ``before`` may have more now that it is at ``block``.

        Both unrolled; while all are together.
        """
        room = max(1, self.slots - self.reserve)
        return self._border(before + room) != self._border(block + room)

    def holder_of(self, victim: Victim, sake: Position | None) -> Position | None:
        """Give who needs the victim so that ``sake`` has to wait, or None.

        A reader that counts for nobody (None) has the reserve, and waits for anybody in reach of the block.
        """
        needer = victim.needer
        if needer is None or not self.strict:
            return None
        if sake is None:
            holds = self.reserve > 0 and victim.next_use <= self.slots
        else:
            blocks = self.order.blocks
            distance = (sake.block - needer.block) % blocks
            between = victim.next_use < distance <= self.slots
            had_it = (victim.block - sake.block) % blocks >= sake.need
            holds = between and (needer.need > distance or had_it)
        return needer if holds else None

    def holder(self, spot: Position) -> Position | None:
        """Return for whose sake those at a spot wait; None: for the source, or nobody waits there."""
        if spot not in self._holders:
            self._holders[spot] = self._find_holder(spot)
        return self._holders[spot]

    def _find_holder(self, spot: Position) -> Position | None:
        blocks, slot_of = self.order.blocks, self.residency.slot_of
        waited_for = [
            ask.at - point.block
            for point in spot.points
            for ask in point.asks
            if ask.at % blocks not in slot_of
        ]
        if not waited_for:
            return None
        # What is behind its point was asked for late: reach says nothing of it.
        nearest = min([ahead for ahead in waited_for if ahead >= 0], default=None)
        if nearest is not None:
            if (hindmost := self._ahead_of(spot)) is not None:
                return hindmost
            reach, hindmost = self.reach(spot)
            if hindmost is not None and nearest >= reach:
                return hindmost
        victims = self.victims.first(max(0, self.reserve + 1 - self.residency.free))
        return next(filter(None, (self.holder_of(victim, spot) for victim in victims)), None)

    def in_ring_of_waits(self, spot: Position) -> bool:
        """R4: return whether, from one to the other whom it waits for, the way leads back to this spot."""
        if not self._can_be_ring:
            return False
        known = self._in_rings
        way: dict[Position, None] = {}
        at: Position | None = spot
        while at is not None and at not in known and at not in way:
            way[at] = None
            at = self.holder(at)
        # A way that comes to itself is a ring from there on. What leads to a ring, or to an end, is in none.
        in_ring = False
        for passed in way:
            in_ring = in_ring or passed is at
            known[passed] = in_ring
        return known[spot]
