"""R1 and R2 applied: the length of a run, and the slots for it. No I/O, no clock.

A run consists of the blocks that the candidate wants, up to the look-ahead's ``run_boundary``. Where many
readers share a small ring that may be a block or two, and each read and each decision has a cost. So a run is
extended to the boundary of a *whole* run, in slots whose blocks no consumer needs: the position will need the
added blocks, and they would be read next anyway. Only while all consumers are together: otherwise the others
may want those slots, and the added blocks might be evicted before they are used.
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
    """Frees and lends slots, for one decision."""

    cursors: Cursors
    residency: Residency
    ahead: LookAhead
    pace: Pace
    cheap_slots: int
    """Slots that may be used whatever memory costs."""
    memory_is_expensive: bool
    """Getting memory for a new slot takes longer than reading a block again."""
    no_free_slot: bool = attrs.field(default=False, init=False)
    """No slot could be freed: all are about to be given to a request, or in a look-ahead."""

    def take(
        self, candidate: ReadCandidate, most: int, *, forced: bool = False
    ) -> tuple[list[int], Position | None]:
        """Lend slots for up to ``most`` blocks from the candidate's on, evicting what has to go.

        Return the slots, and the position that R3 makes the candidate wait for, if any. No slots and no
        position: it has to wait for a slot. ``forced``: R3 does not apply.
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
        """Return the end of the run, and the end of its extension in slots that no consumer needs."""
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
        """Evict the first ``count`` victims."""
        victims = self.pace.victims
        for victim in victims.first(count):
            victims.give_up()
            if victim.needed_by is not None:
                self.cursors.may_want_again(victim.needed_by)

    def _saves(self, keep: int) -> bool:
        """Evict a block that no consumer needs, if there is one and a new slot would cost more."""
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
        """Return whether a look-ahead block would be used later than a block evicted for it."""
        if candidate.requested or candidate.position is None:
            return False
        use = (block - candidate.position.block) % self.cursors.blocks
        return any(victim.next_use <= use for victim in self.pace.victims.first(count))
