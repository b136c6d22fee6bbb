"""R3 and R4: who waits for whom. Pure.

A consumer is *in reach* of one in front when it is at most K blocks behind it, K being the slots; which of
two is behind, ``Order.is_behind`` says. The one in front has to wait where going on would give up what one
in reach behind it still needs, and where its own next block and that one's can't both be in the ring.

On a line somebody is the hindmost and waits for nobody. On the circle each may have one behind it: a *ring of
waits*, in which all wait and nothing would ever move. Whoever waits has one for whom it waits; so to follow
these from one to the next finds the ring, and whoever is in one need not wait.
"""

import attrs

from fanoutfs.ring.farthest import Farthest, Victim
from fanoutfs.ring.order import Order
from fanoutfs.ring.point import Spot
from fanoutfs.ring.residency import Residency

WHOLE_SHARE = 8
"""A whole run takes one slot in so many at most."""


@attrs.define(eq=False, kw_only=True)
class Pace:
    """Who has to wait, for one decision."""

    order: Order
    residency: Residency
    victims: Farthest
    slots: int
    reserve: int
    """Slots that the sweep leaves free."""
    run: int
    """Most blocks in one read."""
    look: int
    """Blocks of look-ahead of each consumer."""
    strict: bool
    _packs: int | None = attrs.field(default=None, init=False)

    @property
    def packs(self) -> int:
        """How many packs there are."""
        if self._packs is None:
            self._packs = self.order.packs(self.slots)
        return self._packs

    @property
    def together(self) -> bool:
        """Say whether all are within K blocks of one another, and one pack."""
        return self.order.spread() <= self.slots and self.packs == 1

    def reach(self, spot: Spot) -> tuple[int, Spot | None]:
        """Say how many blocks from its own on a spot may have, and for whose sake no more."""
        hindmost = self.order.hindmost(spot, self.slots) if self.strict else None
        if hindmost is None:
            return self.order.blocks, None
        # Another pack's look-ahead takes slots from this one's span: a hole that would move along with it.
        room = max(1, self.slots - self.reserve - (self.packs - 1) * self.look)
        end = hindmost.block + room
        if self.together:
            # Where there are others the head would leave for them meanwhile, and come back a turn later.
            end = self._border(end)
        return end - hindmost.block - (spot.block - hindmost.block) % self.order.blocks, hindmost

    @property
    def whole(self) -> int:
        """The length of a whole run: no more than an eighth of the slots."""
        return max(1, min(self.run, self.slots // WHOLE_SHARE))

    def _border(self, block: int) -> int:
        """Give the last border between whole runs up to an unrolled block."""
        lap = block // self.order.blocks * self.order.blocks
        return lap + (block - lap) // self.whole * self.whole

    def lets_on(self, before: int, block: int) -> bool:
        """Say whether who waits for one that was at ``before`` may have more now that it is at ``block``.

        Both unrolled; while all are together.
        """
        room = max(1, self.slots - self.reserve)
        return self._border(before + room) != self._border(block + room)

    def holder_of(self, victim: Victim, sake: Spot | None) -> Spot | None:
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

    def holder(self, spot: Spot) -> Spot | None:
        """Give for whose sake those who wait at a spot do so; None: for the source, or none waits."""
        blocks, slot_of = self.order.blocks, self.residency.slot_of
        asked = [
            ask.at - point.block
            for point in spot.points
            for ask in point.asks
            if ask.at % blocks not in slot_of
        ]
        if not asked:
            return None
        reach, holder = self.reach(spot)
        aheads = [ahead for ahead in asked if ahead >= 0]
        if holder is not None and aheads and min(aheads) >= reach:
            return holder
        victims = self.victims.first(max(0, self.reserve + 1 - self.residency.free))
        return next(filter(None, (self.holder_of(victim, spot) for victim in victims)), None)

    def in_ring_of_waits(self, spot: Spot) -> bool:
        """R4: say whether, from one to the other whom it waits for, the way leads back to this spot."""
        seen: set[Spot] = set()
        at: Spot | None = spot
        while at is not None and at not in seen:
            seen.add(at)
            at = self.holder(at)
        return at is spot
