"""The ring's rules: which block is read next, which block is evicted, which reader waits. No I/O, no clock.

Purpose
    One disk, and many readers that start at any time. The producer should read the source as few times as
    possible; no reader may wait for ever or get a wrong byte. This package decides. It does not wait, read,
    copy, log or look at a clock: events and the current time come in, a decision comes out.

Theory of operation
    The image is a circle of N blocks, the ring has K slots that hold arcs of it. The producer's *write head*
    goes round. Each consumer is a *cursor* on the circle with a distance still to go: an ``image`` reader
    goes from its next byte to the end of the image, a wrapping one from its start once round::

        0          c          b        a  head                         N
        |··········|██████████|████████|▒▒▒▒|··························|
                   last       middle   front: its look-ahead is ▒

    Sequential consumers go straight on, so the future is known: the *next use* of a block is its distance
    from the nearest cursor behind it that still needs it, and infinite when no cursor does.

The rules
    R1  Sweep. The candidates are the absent blocks of each sequential consumer's look-ahead and of its
        requests. The producer reads the candidate nearest ahead of the head, going round, in a run of several
        blocks; ``slot_allocator.py`` decides how long the run is. The longest-waiting reader has no priority:
        that would make the head jump past other readers, which would then wait for a whole turn (PostgreSQL's
        syncscan.c argues the same way).
    R1a Detour. A request that has waited for ``turn`` seconds is read out of order; the head stays. The first
        request after an open or a jump is overdue at once. Detours get at most half of the source's time
        while the sweep has work.
    R2  Evict. The block with the farthest next use goes, see ``eviction.py``. A block stays while it is in a
        look-ahead, about to be given to a request, or being copied out. No block goes for one that is read
        ahead and used later (Cao, Felten, Karlin, Li 1995: do no harm). Slots that were never used are taken
        first. But where getting memory takes longer than reading the source again (``set_memory_cost``) and
        ``cheap_slots`` are in use, a block that no consumer needs goes before a new slot is taken.
    R3  Pace. A consumer in front waits rather than evict a block that a live consumer at most K blocks
        behind it still needs. The front also stops before its next block and the hindmost's next block could
        no longer both be resident, along with the look-ahead of the consumers out of reach: a front that
        leaves its pack behind costs another pass. While all are together, the front gets what it waits for
        in whole runs. ``strict=False`` turns this rule off.
    R4  Progress. On a line the last of a pack has no consumer behind it, so R3 never blocks it. On the circle
        every consumer can have one behind it. If the consumers wait for one another in a ring, R3 does not
        apply to the one whose block is nearest ahead of the head.
    R5  Patience. A consumer that has taken nothing for ``patience`` seconds, though none of its requests is
        outstanding, is dormant: it keeps no block and blocks no consumer. Its next request makes it live.

Invariants
    1. At most K blocks are resident or on loan to a read.
    2. Under R3 a front is at most K blocks ahead of the last live consumer in reach, except for R4.
    3. The look-ahead that is never evicted is at most K // 2 blocks, and a run for each front that is about
       to take what was just read; ``look_ahead.py`` divides the look-ahead.
    4. A decision is made only while no read is under way, so "absent" means that no read is fetching it.

What is not done, and why
    Readers that jump (``sequential`` is False) are served by detours and block no consumer: their future is
    unknown. Under R3 a few slots (``reserve``) are kept from the sweep for them, so that a probe is answered
    while a pack fills the ring with blocks it needs.

Cost: a decision takes O(log C) for each cursor that has moved, and at most O(C) in every state, also when all
consumers wait and are overdue; C is the number of different blocks at which consumers or requests are. It is
never O(blocks), except for the slots to be freed. ``contrib/bench/decision_cost.py`` measures it.

Entry points: ``open``, ``close``, ``request``, ``advance``, ``answered``, ``grant``, ``release``, ``move``,
``filled`` and ``drop_bad`` are the events; ``decide`` is the decision. ``cursors.py`` keeps the consumers'
positions, ``candidates.py`` the order of the candidates; ``stream.py`` turns byte requests into a position
and decides when a reader is sequential. The tests' ``world.py`` states these rules a second time, naively:
change both.
"""

from collections import Counter

import attrs

from fanoutfs.ring.candidates import Candidates
from fanoutfs.ring.cursor import Cursor, Position, Request, Requests
from fanoutfs.ring.cursors import Cursors
from fanoutfs.ring.decision import Read, ReadCandidate, Rest
from fanoutfs.ring.eviction import EvictionOrder
from fanoutfs.ring.intake import Intake
from fanoutfs.ring.look_ahead import RUNS, LookAhead
from fanoutfs.ring.pace import Pace
from fanoutfs.ring.residency import Residency
from fanoutfs.ring.slot_allocator import SlotAllocator

RESERVE_SHARE = 32
"""One slot in this many is kept for detours; a ring of fewer than RESERVE_LEAST slots keeps none."""

RESERVE_LEAST = 4


@attrs.define(eq=False, kw_only=True)
class Rules:
    """The state that the rules decide on: the cursors, the resident blocks, the head."""

    blocks: int
    slots: int
    run: int
    """Most blocks in one read."""
    patience: float
    turn: float
    strict: bool = True
    intake: Intake = attrs.field(factory=Intake)
    look_ahead_runs: int = RUNS
    _cheap_slots: int = 0
    """Slots that may be used whatever memory costs."""
    _memory_is_expensive: bool = attrs.field(default=False, init=False)
    """Getting memory for a new slot takes longer than reading a block again."""
    _head: int = attrs.field(default=0, init=False)
    open_cursors: dict[int, Cursor] = attrs.field(factory=dict, init=False)
    residency: Residency = attrs.field(init=False)
    cursors: Cursors = attrs.field(init=False)
    ahead: LookAhead = attrs.field(init=False)
    reserve: int = attrs.field(init=False)
    granted: Counter[int] = attrs.field(factory=Counter, init=False)
    """How many consumers are copying each real block out of the ring."""
    _paces: bool = attrs.field(init=False)
    _requests: Requests = attrs.field(init=False)
    _detour_debt: float = attrs.field(default=0.0, init=False)

    # Set by a decision, for the events until the next one.
    _pace: Pace = attrs.field(init=False)
    _allocator: SlotAllocator = attrs.field(init=False)
    _held_up: bool = attrs.field(default=False, init=False)
    """R3 blocks a consumer, and any move may unblock it."""
    _held_by: set[Cursor] = attrs.field(factory=set, init=False)
    """R3 blocks a consumer, and only a move of one of these unblocks it."""
    _held: set[int] = attrs.field(factory=set, init=False)
    """The blocks that are not read before one of those has moved."""
    _no_free_slot: bool = attrs.field(default=False, init=False)
    """No slot could be freed: all are about to be given to a request, or in a look-ahead."""
    _waits: list[tuple[int, Position, bool]] = attrs.field(factory=list, init=False)
    """The blocks that R3 blocked, by which position, and whether because they were beyond its reach."""

    def __attrs_post_init__(self) -> None:
        self.residency = Residency(self.slots, self.blocks)
        self.cursors = Cursors(self.blocks, self.patience)
        self._requests = Requests(self.blocks, self.turn)
        most = self.look_ahead_runs * self.run
        self.ahead = LookAhead(self.cursors, self.residency, self._requests.at, self.run, most)
        # In a ring that holds the whole image no consumer has to wait for another.
        self._paces = self.strict and self.slots < self.blocks
        spares = self._paces and self.slots >= RESERVE_LEAST
        self.reserve = max(1, self.slots // RESERVE_SHARE) if spares else 0

    @property
    def head(self) -> int:
        """The block that the sweep reads next, or passes next when it is resident."""
        return self._head

    # Set by the engine

    def begin_at(self, block: int) -> None:
        """Start the first pass at this block, where another program is already reading the source."""
        self._head = block

    def use_all_slots(self) -> None:
        """Use all slots whatever memory costs: readers that join later need what they keep."""
        self._cheap_slots = self.slots

    def set_memory_cost(self, *, is_expensive: bool) -> None:
        """Set whether memory for a new slot takes longer to get than to read a block again."""
        self._memory_is_expensive = is_expensive

    # Events. They return True if the decision may have changed: the producer should be woken.

    def open(self, cursor_id: int, start: int | None = None) -> Cursor:
        """Register a consumer, in-order or wrapping from ``start``; it blocks no consumer until it reads."""
        first, end = (0, self.blocks) if start is None else (start, start + self.blocks)
        cursor = self.open_cursors[cursor_id] = Cursor(cursor_id, first, end)
        return cursor

    def close(self, cursor: Cursor) -> bool:
        """Remove a consumer; the blocks that only it needed may go."""
        assert not cursor.requests
        del self.open_cursors[cursor.id]
        self.cursors.close(cursor)
        return cursor.sequential

    def request(self, cursor: Cursor, first: int, last: int, now: float, *, fresh: bool) -> Request:
        """Register a request that has to wait for a block; ``fresh``: the first since an open or a jump."""
        urgent = fresh or not cursor.sequential or first < cursor.block
        request = Request(cursor, first, last, now, urgent)
        self._requests.enter(request)
        self.cursors.changed(cursor)
        return request

    def advance(self, request: Request, at: int) -> None:
        """Record that a request was given its blocks before ``at``."""
        self._requests.advance(request, at)

    def answered(self, request: Request, now: float) -> bool:
        """Remove a request that was answered or given up; return True if a read waits for a slot."""
        self._requests.remove(request)
        request.cursor.taken_at = now
        self.cursors.changed(request.cursor)
        return self._no_free_slot

    def grant(self, blocks: range) -> None:
        """Record that a consumer copies these resident, unrolled blocks out of the ring: they stay."""
        self.granted.update(block % self.blocks for block in blocks)

    def release(self, blocks: range) -> bool:
        """Undo ``grant``; return True if a read waits for a slot."""
        for unrolled in blocks:
            block = unrolled % self.blocks
            self.granted[block] -= 1
            if not self.granted[block]:
                del self.granted[block]
        return self._no_free_slot

    def move(self, cursor: Cursor, block: int, *, sequential: bool, now: float) -> bool:
        """Record where a consumer is and whether it is sequential; it has just taken something.

        Return True if an absent run has come into its look-ahead, or it may have unblocked a consumer. Only
        a move over a run boundary returns True, so that not every block causes a decision.
        """
        before, was_sequential = cursor.block, cursor.sequential
        cursor.block, cursor.sequential, cursor.taken_at = block, sequential, now
        self.cursors.changed(cursor)
        if sequential != was_sequential:
            return True
        if cursor in self._held_by and self._pace.unblocks(before, block):
            return True
        if before // self.ahead.run_boundary == block // self.ahead.run_boundary and block < cursor.end:
            return False
        if self._held_up or (self._held and block == cursor.end):
            return True
        absent = self.residency.absent(block, self.ahead.end(block, cursor.end))
        return absent is not None and absent not in self._held

    def filled(self, read: Read, seconds: float) -> None:
        """Record the blocks of a read as resident; it took ``seconds`` of the source's time."""
        for block, slot in zip(read.blocks, read.slots, strict=True):
            self.residency.add(block, slot)
        if read.detour:
            self._detour_debt += seconds
        else:
            self._detour_debt = max(0.0, self._detour_debt - seconds)
            self._head = read.blocks.stop % self.blocks
        self.intake.passed(read.blocks)

    def drop_bad(self, block: int) -> None:
        """Remove a resident block that has bad bytes: it has to be read again."""
        self.residency.remove(block)
        self.cursors.look_again()

    def shorten(self, blocks: int) -> None:
        """Shorten the image to ``blocks`` blocks, at least 1; no consumer and no read has passed its new end.

        A wrapping consumer goes on at block 0; the requests of others for that block will not be answered.
        """
        for cursor in self.open_cursors.values():
            cursor.end += blocks - self.blocks
            self.cursors.changed(cursor)
        self.blocks = self.residency.blocks = self.cursors.blocks = blocks
        self._requests.shorten(blocks)
        self._head %= blocks

    # Questions

    def require_beginning(self) -> None:
        """Raise GoneError if a consumer that begins now could not have the whole image."""
        self.intake.require_beginning(self.residency)

    def dormant(self, cursor: Cursor, now: float) -> bool:
        """R5: return whether a consumer has taken nothing for too long, with no request outstanding."""
        return self.cursors.dormant(cursor, now)

    def held(self, now: float) -> int:
        """Return how many resident blocks a live consumer still needs."""
        self.cursors.settle(now)
        return self.residency.count_within(self.cursors.needed())

    def ahead_of_head(self, block: int) -> int:
        """Return the distance in blocks from the head to a block, real or unrolled."""
        return (block - self._head) % self.blocks

    def is_resident_up_to_head(self, block: int) -> bool:
        """Return whether all blocks from a real block to just before the head, going round, are resident."""
        behind_head = (self._head - block) % self.blocks
        return self.residency.first_absent(block, block + behind_head) is None

    def waits(self, now: float) -> dict[int, int]:
        """Return the consumers that R3 makes wait: their ids, each with the id of the one it waits for.

        Consumers that wait for the source are not included. Costs as much as one decision.
        """
        self._begin(now)
        ids: dict[Position, int] = {}
        found: dict[int, int] = {}
        for cursor in self.open_cursors.values():
            if (
                cursor.requests
                and cursor.position is not None
                and (blocker := self._pace.blocker(cursor.position))
            ):
                if blocker not in ids:
                    ids[blocker] = min(other.id for other in blocker.cursors)
                found[cursor.id] = ids[blocker]
        return found

    # The decision

    def decide(self, now: float) -> Read | Rest:
        """Decide what to read next; the blocks evicted for it are gone when this returns."""
        self._begin(now)
        self._no_free_slot = False
        self._waits.clear()
        overdue, until = self._requests.overdue(now)
        wanted = Candidates(
            head=self._head,
            run=self.run,
            cursors=self.cursors,
            residency=self.residency,
            ahead=self.ahead,
            requests=self._requests,
            pace=self._pace,
            intake=self.intake,
        )
        for candidate in wanted.in_turn(overdue, detours_first=self._detour_debt <= 0):
            if read := self._read(candidate):
                return read
        return self._rest(until)

    def _rest(self, until: float) -> Rest:
        """Rest until ``until``, or until a consumer for which others wait may become dormant."""
        self._held_up = False
        self._held.clear()
        self._held_by.clear()
        self._waits += [
            (position.block, blocker, True) for position, blocker in self._pace.stops.items() if blocker
        ]
        for block, blocker, in_reach in self._waits:
            if in_reach and self._pace.together:
                self._held.add(block)
                self._held_by |= blocker.cursors
            else:
                self._held_up = True
        blockers = {blocker for _, blocker, _ in self._waits}
        return Rest(min([until, *map(self.cursors.wakes_at, blockers)]))

    def _begin(self, now: float) -> None:
        """Update the state on which a decision is made."""
        self.cursors.settle(now)
        self.ahead.divide()
        self._pace = Pace(
            cursors=self.cursors,
            residency=self.residency,
            victims=EvictionOrder(
                self.cursors, self.residency, self.ahead.guarded_of, self._requests.at, self.granted
            ),
            slots=self.slots,
            reserve=self.reserve,
            run=self.run,
            look=self.ahead.guarded,
            strict=self._paces,
            in_order=self.intake.in_order,
        )
        self._allocator = SlotAllocator(
            cursors=self.cursors,
            residency=self.residency,
            ahead=self.ahead,
            pace=self._pace,
            cheap_slots=self._cheap_slots,
            memory_is_expensive=self._memory_is_expensive,
        )

    # Which blocks are evicted, and which consumers wait: R2 to R4

    def _read(self, candidate: ReadCandidate, *, forced: bool = False) -> Read | None:
        """Free slots for a run that begins with the candidate; return None if it has to wait."""
        most = self.intake.most(candidate, self.blocks)
        if not most:
            return None
        if candidate.position is not None and not forced:
            reach, blocker = self._pace.reach(candidate.position)
            ahead = (candidate.block - candidate.position.block) % self.blocks
            # A block farther ahead than the position needs lies behind it: it was requested late.
            if blocker is not None and ahead < candidate.position.need:
                if ahead >= reach:
                    return self._wait(candidate, blocker, in_reach=True)
                most = min(most, reach - ahead)
        slots, blocker = self._allocator.take(candidate, most, forced=forced)
        self._no_free_slot = self._no_free_slot or self._allocator.no_free_slot
        if slots:
            is_next = self.intake.in_order and candidate.block == self.intake.next
            detour = candidate.detour and not is_next
            return Read(candidate.block, tuple(slots), detour)
        return None if blocker is None else self._wait(candidate, blocker)

    def _wait(self, candidate: ReadCandidate, blocker: Position, *, in_reach: bool = False) -> Read | None:
        """Make the candidate wait, unless R4 lets it be read all the same."""
        if candidate.position is not None and self._pace.in_ring_of_waits(candidate.position):
            return self._read(candidate, forced=True)
        self._waits.append((candidate.block, blocker, in_reach))
        return None
