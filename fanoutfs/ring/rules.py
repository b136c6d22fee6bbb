"""The ring's rules: what the producer reads next, what goes for it, and who waits. No I/O, no clock.

What it is for
    One disk, many readers that come when they like. The source shall be read as few times as can be, nobody
    shall wait for ever, and nobody shall get a wrong byte. This file decides; it does not wait, read, copy,
    log or look at a clock: events and the time of day come in, a decision comes out.

Theory of operation
    The image is a circle of N blocks, the ring K slots that hold arcs of it. The producer's *write head*
    goes round. Each consumer is a *point* on the circle with a way still to go: an ``image`` reader from
    its next byte to the end of the image, a wrapping one from where it began once round::

        0          c          b        a  head                         N
        |··········|██████████|████████|▒▒▒▒|··························|
                   last       middle   front: its look-ahead is ▒

    Consumers go straight on, so the future is known: the *next use* of a block is its distance from the
    nearest point behind it that still needs it, and infinite when there is none.

The rules
    R1  Sweep. Wants are the absent blocks of each counting consumer's look-ahead and of what it has asked
        for. The wanted block nearest ahead of the head, going round, is read next, in a run of several
        blocks; ``slot_allocator.py`` says how far that goes. No preference for who waited longest: that makes
        the head jump past others, who then wait a whole turn (PostgreSQL's syncscan.c stands on the same
        ground).
    R1a Detour. What was asked for and has not come for ``turn`` seconds is read off the sweep; the head
        stays. The first block after an open or a jump is overdue at once. Detours get at most half of the
        source's time while the sweep has work.
    R2  Give up. The block with the farthest next use goes, see ``eviction.py``. What lies in a look-ahead or
        is about to be given or is being copied out never goes; nor does anything for a block read ahead that
        is used later than it (Cao, Felten, Karlin, Li 1995: do no harm). Slots that were never used come
        first, as long as there are any; where memory takes longer to get than the source to be read again
        (``set_memory_cost``), a block that nobody needs goes before them once ``cheap_slots`` are in use.
    R3  Pace. For a consumer's sake no block goes that lies between it and a live consumer at most K blocks
        behind, who still needs it: the one in front waits. Nor does it go on to where the next block of the
        one behind and its own can't both be in the ring, beside the look-ahead of those who are out of
        reach: a front that leaves a pack behind costs a pass of its own. While all are together it gets what
        it waits for in whole runs. ``strict=False`` turns this off.
    R4  Somebody always moves. On a line the last of a pack has nobody behind it, so R3 never holds it. On
        the circle each can have one behind it: should those at the front wait for one another in a ring,
        the one of them whose block is nearest ahead of the head goes on at once, R3 or not.
    R5  Patience. Who has taken nothing for ``patience`` seconds, although nothing that it asked for is
        outstanding, is dormant: it holds nothing and nobody. Its next ask makes it live again.

Invariants
    1. At most K blocks are resident or on loan to a read.
    2. Under R3 a front is at most K blocks ahead of the last live consumer in reach, but for R4.
    3. What never goes for being in a look-ahead is at most K // 2 blocks, and a run for each front that is
       about to take what came; ``look_ahead.py`` says how the look-ahead is divided.
    4. A decision is made only while no read is under way, so "absent" means that nobody fetches it.

What is not done, and why
    Readers that jump (``sequential`` is False) are served by detours and hold nobody: nothing about their
    future is known. Under R3 a few slots (``reserve``) are kept free of the sweep for them, so that a probe
    is answered while a pack fills the ring with what it needs.

Cost: a decision takes O(log C) for what has moved, and at most O(C) in every state, also when all wait and
are overdue; C is the number of different blocks at which consumers stand or ask. Never O(blocks), but for the
slots that have to be given up. ``contrib/bench/decision_cost.py`` measures it.

Entry points: ``open``, ``close``, ``ask``, ``advance``, ``answered``, ``grant``, ``returned``, ``move``,
``filled`` and ``forget`` are the events; ``decide`` is the decision. Where a consumer is on the circle is
``cursors.py``'s; in which order wants are tried is ``candidates.py``'s; what a byte range is in blocks, and
when a reader counts, is ``stream.py``'s. The tests' ``world.py`` says all of this once more, the naive way:
change both.
"""

from collections import Counter

import attrs

from fanoutfs.ring.candidates import Candidates
from fanoutfs.ring.cursor import Cursor, Position, Request, Requests
from fanoutfs.ring.cursors import Cursors
from fanoutfs.ring.decision import Read, ReadCandidate, Rest
from fanoutfs.ring.eviction import EvictionOrder
from fanoutfs.ring.look_ahead import RUNS, LookAhead
from fanoutfs.ring.pace import Pace
from fanoutfs.ring.residency import Residency
from fanoutfs.ring.slot_allocator import SlotAllocator

RESERVE_SHARE = 32
"""One slot in so many is kept for detours; a ring of fewer than RESERVE_LEAST slots spares none."""

RESERVE_LEAST = 4


@attrs.define(eq=False, kw_only=True)
class Rules:
    """The state that the rules decide on: the points, what is resident, the head."""

    blocks: int
    slots: int
    run: int
    """Most blocks in one read."""
    patience: float
    turn: float
    strict: bool = True
    look_ahead_runs: int = RUNS
    _cheap_slots: int = 0
    """How many slots are taken into use whatever memory costs."""
    _memory_is_expensive: bool = attrs.field(default=False, init=False)
    """Memory for a slot that was never used takes longer to get than to read a block again."""
    _head: int = attrs.field(default=0, init=False)
    open_cursors: dict[int, Cursor] = attrs.field(factory=dict, init=False)
    residency: Residency = attrs.field(init=False)
    cursors: Cursors = attrs.field(init=False)
    ahead: LookAhead = attrs.field(init=False)
    reserve: int = attrs.field(init=False)
    granted: Counter[int] = attrs.field(factory=Counter, init=False)
    """The real blocks that consumers are copying out of the ring, with how many do so."""
    _paces: bool = attrs.field(init=False)
    _requests: Requests = attrs.field(init=False)
    _detour_debt: float = attrs.field(default=0.0, init=False)

    # Set by a decision, for the events until the next.
    _pace: Pace = attrs.field(init=False)
    _allocator: SlotAllocator = attrs.field(init=False)
    _held_up: bool = attrs.field(default=False, init=False)
    """R3 made somebody wait: whoever moves may end that."""
    _held_by: set[Cursor] = attrs.field(factory=set, init=False)
    """R3 made somebody wait for one of these to move on, and nobody else can end that."""
    _held: set[int] = attrs.field(factory=set, init=False)
    """The blocks that are not read before one of those has moved on."""
    _no_free_slot: bool = attrs.field(default=False, init=False)
    """There was no slot at all to take: all are about to be given, or looked ahead for."""
    _waits: list[tuple[int, Position, bool]] = attrs.field(factory=list, init=False)
    """What R3 did not let be read, for whose sake, and whether for being out of reach."""

    def __attrs_post_init__(self) -> None:
        self.residency = Residency(self.slots, self.blocks)
        self.cursors = Cursors(self.blocks, self.patience)
        self._requests = Requests(self.blocks, self.turn)
        most = self.look_ahead_runs * self.run
        self.ahead = LookAhead(self.cursors, self.residency, self._requests.at, self.run, most)
        # In a ring that holds all of the image nobody has to wait for another.
        self._paces = self.strict and self.slots < self.blocks
        spares = self._paces and self.slots >= RESERVE_LEAST
        self.reserve = max(1, self.slots // RESERVE_SHARE) if spares else 0

    @property
    def head(self) -> int:
        """The block that the sweep reads next, or passes next when it is resident."""
        return self._head

    # What the engine learns or chooses besides

    def begin_at(self, block: int) -> None:
        """Start the first pass at this block, where somebody else is reading the source already."""
        self._head = block

    def use_all_slots(self) -> None:
        """Take all slots into use, whatever memory costs: readers that come later need what is kept."""
        self._cheap_slots = self.slots

    def set_memory_cost(self, *, is_expensive: bool) -> None:
        """Set whether memory for a new slot takes longer to get than to read a block again."""
        self._memory_is_expensive = is_expensive

    # Events. Those that may change the decision answer True: the producer should be woken.

    def open(self, cursor_id: int, start: int | None = None) -> Cursor:
        """Register a consumer, in-order or wrapping from ``start``; it holds nothing until it reads."""
        first, end = (0, self.blocks) if start is None else (start, start + self.blocks)
        cursor = self.open_cursors[cursor_id] = Cursor(cursor_id, first, end)
        return cursor

    def close(self, cursor: Cursor) -> bool:
        """Take a consumer out; what only it needed is free."""
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
        """Take out a request that was answered or given up; True when its block's slot was waited for."""
        self._requests.remove(request)
        request.cursor.taken_at = now
        self.cursors.changed(request.cursor)
        return self._no_free_slot

    def grant(self, blocks: range) -> None:
        """Record that a consumer copies these resident blocks, unrolled, out of the ring: they stay."""
        self.granted.update(block % self.blocks for block in blocks)

    def release(self, blocks: range) -> bool:
        """Take back what ``grant`` noted; True when a slot was waited for."""
        for unrolled in blocks:
            block = unrolled % self.blocks
            self.granted[block] -= 1
            if not self.granted[block]:
                del self.granted[block]
        return self._no_free_slot

    def move(self, cursor: Cursor, block: int, *, sequential: bool, now: float) -> bool:
        """Set where a consumer is and whether it counts; it has just taken something.

        Answers True when a run that is absent comes into its look-ahead, or somebody is held up for whom
        it may have made room. Only when it goes over a border between runs, so as not to decide all the
        time for one block.
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
        """Enter what was read as resident; ``seconds`` is the source's time that it took."""
        for block, slot in zip(read.blocks, read.slots, strict=True):
            self.residency.add(block, slot)
        if read.detour:
            self._detour_debt += seconds
        else:
            self._detour_debt = max(0.0, self._detour_debt - seconds)
            self._head = read.blocks.stop % self.blocks

    def drop_bad(self, block: int) -> None:
        """Take a resident block out that is not good: who wants it waits until it was read anew."""
        self.residency.remove(block)
        self.cursors.look_again()

    # Questions

    def dormant(self, cursor: Cursor, now: float) -> bool:
        """R5: it has taken nothing for too long, and not because of us."""
        return self.cursors.dormant(cursor, now)

    def held(self, now: float) -> int:
        """Return how many resident blocks a live consumer still needs."""
        self.cursors.settle(now)
        needed = iter(self.cursors.needed())
        begin, stop = next(needed, (self.blocks, self.blocks))
        held = 0
        for start, end in self.residency.arcs():
            while begin < end:
                held += max(0, min(end, stop) - max(start, begin))
                if stop > end:
                    break
                begin, stop = next(needed, (self.blocks, self.blocks))
        return held

    def ahead_of_head(self, block: int) -> int:
        """Return how many blocks the head has to go to come to a block, real or unrolled."""
        return (block - self._head) % self.blocks

    def is_resident_up_to_head(self, block: int) -> bool:
        """Return whether all blocks from a real one to before the head, going round, are resident."""
        behind_head = (self._head - block) % self.blocks
        return self.residency.first_absent(block, block + behind_head) is None

    def waits(self, now: float) -> dict[int, int]:
        """Return the ids of the consumers that wait for another for R3's sake, each with the other's id.

        Those that wait for the source are not among them. Costs as much as one decision.
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
        """Decide what to read next; what must go for it has gone when this returns."""
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
        )
        for candidate in wanted.in_turn(overdue, detours_first=self._detour_debt <= 0):
            if read := self._read(candidate):
                return read
        return self._rest(until)

    def _rest(self, until: float) -> Rest:
        """Rest, until a time at the latest: when one may be dormant for whose sake others wait."""
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
        """Bring up to date what a decision is made on."""
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
        )
        self._allocator = SlotAllocator(
            cursors=self.cursors,
            residency=self.residency,
            ahead=self.ahead,
            pace=self._pace,
            cheap_slots=self._cheap_slots,
            memory_is_expensive=self._memory_is_expensive,
        )

    # What goes for it, and who waits: R2 to R4

    def _read(self, candidate: ReadCandidate, *, forced: bool = False) -> Read | None:
        """Make room for a run that begins with the wanted block; None when that has to wait."""
        most = self.blocks
        if candidate.position is not None and not forced:
            reach, blocker = self._pace.reach(candidate.position)
            ahead = (candidate.block - candidate.position.block) % self.blocks
            # What is farther ahead than its way goes lies behind: it was asked for late.
            if blocker is not None and ahead < candidate.position.need:
                if ahead >= reach:
                    return self._wait(candidate, blocker, in_reach=True)
                most = reach - ahead
        slots, blocker = self._allocator.take(candidate, most, forced=forced)
        self._no_free_slot = self._no_free_slot or self._allocator.no_free_slot
        if slots:
            return Read(candidate.block, tuple(slots), candidate.detour)
        return None if blocker is None else self._wait(candidate, blocker)

    def _wait(self, candidate: ReadCandidate, blocker: Position, *, in_reach: bool = False) -> Read | None:
        """Hold up those who want this, unless R4 says that they go on all the same."""
        if candidate.position is not None and self._pace.in_ring_of_waits(candidate.position):
            return self._read(candidate, forced=True)
        self._waits.append((candidate.block, blocker, in_reach))
        return None
