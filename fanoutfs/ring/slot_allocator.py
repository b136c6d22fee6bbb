"""R1 and R2 applied: how far a run goes, and the slots for it. No I/O, no clock.

A run is of what is wanted, up to a border of the look-ahead's granule. Where many share a small ring that may
be a block or two, and each read has its price, as has each decision. So a run goes on to the border of a
*whole* run, in slots that nobody needs: what is there will be needed by those that it is read for, and would
be read next anyhow. Nothing goes for it that anybody needs. And it goes on only while all are together, for
others may want those slots, and what was read ahead might go before it is used.
"""

import attrs

from fanoutfs.ring.cursor import Position
from fanoutfs.ring.cursors import Cursors
from fanoutfs.ring.decision import ReadCandidate
from fanoutfs.ring.look_ahead import LookAhead
from fanoutfs.ring.pace import Pace
from fanoutfs.ring.residency import Residency


@attrs.define(eq=False, kw_only=True)
class SlotAllocator:
    """Makes room, for one decision."""

    cursors: Cursors
    residency: Residency
    ahead: LookAhead
    pace: Pace
    cheap_slots: int
    """How many slots are taken into use whatever memory costs."""
    memory_is_expensive: bool
    """Memory for a slot that was never used takes longer to get than to read a block again."""
    no_free_slot: bool = attrs.field(default=False, init=False)
    """There was no slot at all to take: all are about to be given, or looked ahead for."""

    def take(
        self, candidate: ReadCandidate, most: int, *, forced: bool = False
    ) -> tuple[list[int], Position | None]:
        """Lend slots for ``most`` blocks from the wanted one on; what must go for it has gone.

        None at all: who it is for has to wait for the one that is given, or, when there is none, for a slot.
        ``forced``: R3 has no say.
        """
        first = candidate.block
        stop, border = self._ends(candidate, most, forced=forced)
        keep = 0 if candidate.detour else self.pace.reserve
        slots: list[int] = []
        slot = self.residency.slot_of.get(first - 1, -1)
        while len(slots) < border - first:
            beyond = len(slots) >= stop - first
            if self._saves(keep):
                slot = self.residency.lend_slot(after=None)
                slots.append(slot)
                continue
            lacking = max(0, keep + 1 - self.residency.free)
            victims = self.pace.victims.first(lacking)
            needed = any(victim.needed_by is not None for victim in victims)
            if beyond and (len(victims) < lacking or needed):
                break
            if len(victims) < lacking or (needed and self._harms(candidate, first + len(slots), lacking)):
                self.no_free_slot = True
                break
            blockers = (
                [] if forced else [self.pace.blocker_of(victim, candidate.position) for victim in victims]
            )
            if (blocker := next(filter(None, blockers), None)) is not None:
                return slots, blocker
            self._give_up(lacking)
            slot = self.residency.lend_slot(after=slot)
            slots.append(slot)
        return slots, None

    def _ends(self, candidate: ReadCandidate, most: int, *, forced: bool) -> tuple[int, int]:
        """Return where the run ends, and how far it goes on in slots that nobody needs."""
        first, blocks, run_boundary = candidate.block, self.cursors.blocks, self.ahead.run_boundary
        stop = min(first + candidate.most, first + most, (first // run_boundary + 1) * run_boundary, blocks)
        stop = self.residency.first_resident(first, stop)
        position = candidate.position
        if position is None or candidate.detour or forced or not self.pace.strict:
            return stop, stop
        whole = self.pace.whole
        left = position.need - (first - position.block) % blocks
        border = min(first + left, first + most, (first // whole + 1) * whole, blocks)
        if border <= stop or not self.pace.together:
            return stop, stop
        return stop, self.residency.first_resident(first, border)

    def _give_up(self, count: int) -> None:
        """Have blocks go, the first of those that may."""
        victims = self.pace.victims
        for victim in victims.first(count):
            victims.give_up()
            if victim.needed_by is not None:
                self.cursors.may_want_again(victim.needed_by)

    def _saves(self, keep: int) -> bool:
        """Give up a block that nobody needs in place of a slot that was never used, if there is one."""
        residency, victims = self.residency, self.pace.victims
        grown = self.cheap_slots <= residency.used < residency.slots
        if not self.memory_is_expensive or not grown or residency.free <= keep:
            return False
        first = victims.first(1)
        if not first or first[0].needed_by is not None:
            return False
        victims.give_up()
        return True

    def _harms(self, candidate: ReadCandidate, block: int, count: int) -> bool:
        """Return whether a look-ahead block would be used later than a block that would go for it."""
        if candidate.requested or candidate.position is None:
            return False
        use = (block - candidate.position.block) % self.cursors.blocks
        return any(victim.next_use <= use for victim in self.pace.victims.first(count))
