"""The ring's rules: what the producer reads next, what goes for it, and who waits. Pure.

What it is for
    One disk, many readers that come when they like. The source shall be read as few times as can be, nobody
    shall wait for ever, and nobody shall get a wrong byte. This file decides; it does not wait, read, copy,
    log or look at a clock: events and the time of day come in, a decision comes out.

Theory of operation
    The image is a circle of N blocks, the ring K slots that hold arcs of it. The producer's *write head*
    moves round. Each consumer is a *point*: the block in which its next byte lies. An ``image`` reader needs
    every block from its point to the end of the image::

        0          c          b        a  head                         N
        |··········|██████████|████████|▒▒▒▒|··························|
                   last       middle   front: its look-ahead is ▒

    Consumers go straight on, so the future is known: the *next use* of a block is its distance from the
    nearest point at or behind it, and infinite when no point lies behind it.

The rules
    R1  Sweep. Wanted are the absent blocks of each counting consumer's look-ahead and of what it has asked
        for. The wanted block nearest ahead of the head, going round, is read next, in a run of several
        blocks. No preference for who waited longest: that makes the head jump past others, who then wait a
        whole turn (PostgreSQL's syncscan.c stands on the same ground).
    R1a Detour. What was asked for and has not come for ``turn`` seconds is read off the sweep; the head
        stays. The first block after an open or a jump is overdue at once. Detours get at most half of the
        source's time while the sweep has work.
    R2  Give up. The block with the farthest next use goes (Belady 1966). Of those that nobody needs, the
        highest offset: the next newcomer probably begins at 0. What lies in a look-ahead or is being handed
        out never goes.
    R3  Pace. For a consumer's sake no block goes that lies between it and a live consumer at most K blocks
        behind, who still needs it: the one in front waits. Nor does it go on to where that one's next block
        and its own can't both be in the ring, beside the look-ahead of those who are out of reach: a front
        that leaves a pack behind costs a pass of its own. ``strict=False`` turns this off.
    R4  Somebody always moves. On the line that ``image`` readers walk, the hindmost of a pack has nobody
        behind it, so R3 never holds it. Look-aheads cover at most half of the ring, so R2 always finds
        something.
    R5  Patience. Who has taken nothing for ``patience`` seconds, although nothing that it asked for is
        outstanding, is dormant: it holds nothing and nobody. Its next ask makes it live again.

Invariants
    1. At most K blocks are resident or on loan to a read.
    2. Under R3 a front is at most K blocks ahead of the last live consumer in reach.
    3. All look-aheads together cover at most K // 2 blocks.
    4. A decision is made only while no read is under way, so "absent" means that nobody fetches it.

What is not done, and why
    Readers that jump (``counts`` is False) are served by detours and hold nobody: nothing about their future
    is known. A few slots (``reserve``) are kept free of the sweep for them, so that a probe is answered
    while a pack fills the ring with what it needs. A decision sorts the points, O(C log C) for C consumers
    and never O(blocks).

Entry points: ``open``, ``close``, ``ask``, ``answered``, ``move``, ``filled`` are the events; ``decide`` is
the decision. What a byte range is in blocks, and when a reader counts, is ``stream.py``'s.
"""

import math
from itertools import pairwise

import attrs

from fanoutfs.ring.residency import Residency

LOOK_AHEAD_RUNS = 4
"""Look-ahead of one reader, in runs: one being taken, one ready, one being read, one to spare."""

RESERVE_SHARE = 32
"""One slot in so many is kept for detours; a ring of fewer than RESERVE_LEAST slots spares none."""

RESERVE_LEAST = 4


@attrs.frozen
class Read:
    """Decision: read the blocks from ``first`` on, one into each of ``slots``, in this order."""

    first: int
    slots: tuple[int, ...]
    detour: bool

    @property
    def blocks(self) -> range:
        """The numbers of the blocks to be read."""
        return range(self.first, self.first + len(self.slots))


@attrs.frozen
class Rest:
    """Decision: leave the source alone until an event comes, or until the time ``until`` (seconds)."""

    until: float = math.inf


@attrs.define(eq=False)
class Ask:
    """A request that waits: the blocks from ``at`` to ``last`` (inclusive) are still to be handed out."""

    point: "Point"
    at: int
    last: int
    since: float
    urgent: bool


@attrs.define(eq=False)
class Point:
    """A consumer as the rules see it; blocks and seconds."""

    id: int
    block: int = 0
    """The block of its next byte; N when it has everything."""
    counts: bool = False
    """It reads straight on: it may be waited for, looked ahead for, and paces."""
    taken_at: float = -math.inf
    asks: list[Ask] = attrs.field(factory=list, init=False)
    reach: int = attrs.field(default=0, init=False)
    """One past the last block that R3 lets it have; set by each decision."""
    held_by: int | None = attrs.field(default=None, init=False)
    """Whose place sets ``reach``, by id; None: nobody's."""
    waits_for: int | None = attrs.field(default=None, init=False)
    """Whom R3 made it wait for at the last decision, by id."""


@attrs.frozen
class _Want:
    """The blocks from ``block``, which is absent, to before ``until`` are wanted for ``point``'s sake."""

    block: int
    until: int
    point: Point


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
    head: int = attrs.field(default=0, init=False)
    points: dict[int, Point] = attrs.field(factory=dict, init=False)
    residency: Residency = attrs.field(init=False)
    reserve: int = attrs.field(init=False)
    _look: int = attrs.field(default=0, init=False)
    _granule: int = attrs.field(default=1, init=False)
    """Runs end at multiples of it; with ``_look`` set by each decision, for the events until the next."""
    _holders: set[int] = attrs.field(factory=set, init=False)
    """Whose way on the last decision made somebody wait for; others may move without a new one."""
    _starved: bool = attrs.field(default=False, init=False)
    """The last decision found no slot at all to take: all are about to be handed out."""
    _detour_debt: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self.residency = Residency(self.slots)
        fits = self.slots >= self.blocks
        self.reserve = 0 if fits or self.slots < RESERVE_LEAST else max(1, self.slots // RESERVE_SHARE)

    # Events. Those that may change the decision answer True: the producer should be woken.

    def open(self, point_id: int) -> Point:
        """Enter a consumer; it holds nothing until it reads."""
        point = self.points[point_id] = Point(point_id)
        return point

    def close(self, point: Point) -> bool:
        """Take a consumer out; what only it needed is free."""
        assert not point.asks
        del self.points[point.id]
        return point.counts

    def ask(self, point: Point, first: int, last: int, now: float, *, fresh: bool) -> Ask:
        """Enter a request that has to wait for a block; ``fresh``: the first since an open or a jump."""
        urgent = fresh or not point.counts or first < point.block
        ask = Ask(point, first, last, now, urgent)
        point.asks.append(ask)
        return ask

    def answered(self, ask: Ask, now: float) -> bool:
        """Take out a request that was answered or given up; True when its block's slot was waited for."""
        ask.point.asks.remove(ask)
        ask.point.taken_at = now
        ask.point.waits_for = None
        return self._starved

    def move(self, point: Point, block: int, *, counts: bool, now: float) -> bool:
        """Set where a consumer is and whether it counts; it has just taken something.

        Answers True when a run that is absent comes into its look-ahead, or one behind it comes free that
        somebody is held back for. Only when it goes over a border between runs, so as not to decide all the
        time for one block.
        """
        before, counted = point.block, point.counts
        point.block, point.counts, point.taken_at = block, counts, now
        if before // self._granule == block // self._granule and counts == counted and block < self.blocks:
            return False
        if counts != counted:
            return True
        end = self._window_end(block)
        return point.id in self._holders or self.residency.first_absent(block, end) is not None

    def filled(self, read: Read, seconds: float) -> None:
        """Enter what was read as resident; ``seconds`` is the source's time that it took."""
        for block, slot in zip(read.blocks, read.slots, strict=True):
            self.residency.add(block, slot)
        if read.detour:
            self._detour_debt += seconds
        else:
            self._detour_debt = max(0.0, self._detour_debt - seconds)
            self.head = read.blocks.stop % self.blocks

    def dormant(self, point: Point, now: float) -> bool:
        """R5: it has taken nothing for too long, and not because of us."""
        return not point.asks and now >= point.taken_at + self.patience

    def held(self, now: float) -> int:
        """Count the resident blocks that a live consumer still needs."""
        moving = self._moving(now)
        if not moving:
            return 0
        first = moving[0].block
        return sum(max(0, end - max(start, first)) for start, end in self.residency.arcs())

    # The decision.

    def decide(self, now: float) -> Read | Rest:
        """Say what to read next; what must go for it has gone when this returns."""
        moving = self._moving(now)
        self._look = self._look_ahead([p.block for p in moving])
        self._granule = max(1, min(self.run, self._look // 2))
        self._holders.clear()
        self._starved = False
        self._set_reach(moving)
        wants = self._wanted(moving)
        overdue, until = self._overdue(now)
        wants.sort(key=lambda w: (w.block - self.head) % self.blocks)
        sweep = [(want, False) for want in wants]
        # What the sweep reads next anyway is no detour.
        detours = [(want, True) for want in overdue if not (wants and wants[0].block == want.block)]
        detours_first = self._detour_debt <= 0
        for want, detour in detours + sweep if detours_first else sweep + detours:
            read = self._read(want, moving, wants=[] if detour else wants, detour=detour)
            if read is not None:
                return read
        for point in moving:
            if point.waits_for is not None:
                holder = self.points[point.waits_for]
                if not holder.asks:
                    until = min(until, holder.taken_at + self.patience)
        return Rest(until)

    def _moving(self, now: float) -> list[Point]:
        """Give the live counting consumers that need more, the hindmost first."""
        moving = [p for p in self.points.values() if p.counts and p.block < self.blocks]
        return sorted((p for p in moving if not self.dormant(p, now)), key=lambda p: p.block)

    def _look_ahead(self, at: list[int]) -> int:
        """R1: the most blocks of look-ahead with which all of it together covers at most half the ring."""
        half = self.slots // 2
        look = min(LOOK_AHEAD_RUNS * self.run, half)
        while look > 0 and at:
            if look + sum(min(look, b - a) for a, b in pairwise(at)) <= half:
                break
            look //= 2
        return look

    def _window_end(self, block: int) -> int:
        """One past the look-ahead of a point; on a border between runs, so that runs come whole."""
        return min(self.blocks, (block + self._look) // self._granule * self._granule)

    def _wanted(self, moving: list[Point]) -> list[_Want]:
        """R1: for each counting consumer the first absent block of its look-ahead and of each of its asks."""
        wants = []
        for point in moving:
            spans = [(point.block, self._window_end(point.block))]
            # Asked for behind its point is what came late; that is for a detour.
            spans += [(ask.at, ask.last + 1) for ask in point.asks if ask.at >= point.block]
            for begin, end in spans:
                until = min(end, point.reach)
                if until < end and point.held_by is not None:
                    self._holders.add(point.held_by)
                block = self.residency.first_absent(begin, until)
                if block is not None:
                    wants.append(_Want(block, until, point))
        return wants

    def _set_reach(self, moving: list[Point]) -> None:
        """R3: set how far each may go without leaving behind who is in reach of it."""
        for point in self.points.values():
            point.reach, point.held_by, point.waits_for = self.blocks, None, None
        if not self.strict:
            return
        # Another pack's look-ahead takes slots from this one's span: a hole that would move along with it.
        packs = 1 + sum(b.block - a.block > self.slots for a, b in pairwise(moving))
        room = max(1, self.slots - self.reserve - (packs - 1) * self._look)
        hindmost = 0
        for point in moving:
            while point.block - moving[hindmost].block > self.slots:
                hindmost += 1
            if moving[hindmost].block == point.block:
                continue
            point.reach = moving[hindmost].block + room
            point.held_by = moving[hindmost].id
            if any(ask.at >= point.reach for ask in point.asks):
                point.waits_for = moving[hindmost].id

    def _overdue(self, now: float) -> tuple[list[_Want], float]:
        """R1a: what was asked for and is past its time, longest first, and when the next will be."""
        found, until = [], math.inf
        for point in self.points.values():
            for ask in point.asks:
                block = self.residency.first_absent(ask.at, min(ask.last + 1, point.reach))
                if block is None:
                    continue
                if not ask.urgent and now < ask.since + self.turn:
                    until = min(until, ask.since + self.turn)
                else:
                    found.append((ask.since, _Want(block, ask.last + 1, point)))
        found.sort(key=lambda entry: entry[0])
        return [want for _, want in found], until

    def _read(self, want: _Want, moving: list[Point], *, wants: list[_Want], detour: bool) -> Read | None:
        """Make room for a run that begins with the wanted block; None when R3 forbids it."""
        first = want.block
        stop = max([want.until, *(w.until for w in wants if w.block <= first)])
        stop = min(stop, (first // self._granule + 1) * self._granule)
        stop = self.residency.first_resident(first, max(stop, first + 1))
        keep = 0 if detour else self.reserve
        slots: list[int] = []
        slot = self.residency.slot_of.get(first - 1, -1)
        while len(slots) < stop - first:
            if self.residency.free <= keep:
                victim = self._victim(want.point, moving)
                if victim is None:
                    break
                self.residency.remove(victim)
            else:
                slot = self.residency.lend_slot(after=slot)
                slots.append(slot)
        return Read(first, tuple(slots), detour) if slots else None

    def _victim(self, sake: Point, moving: list[Point]) -> int | None:
        """R2 and R3: the resident block to give up for ``sake``, or None when it has to wait."""
        handed_out = {ask.at for p in self.points.values() for ask in p.asks}
        unneeded = self._highest(moving[0].block if moving else self.blocks, handed_out)
        if unneeded is not None:
            return unneeded
        victim, needer = None, None
        for i, point in enumerate(moving):
            above = moving[i + 1].block if i + 1 < len(moving) else self.blocks
            block = self._highest(above, handed_out)
            if block is None or block < self._window_end(point.block) or block < point.block:
                continue
            if victim is None or needer is None or block - point.block > victim - needer.block:
                victim, needer = block, point
        if victim is None or needer is None:
            self._starved = True
            return None
        if self._holds(needer, victim, sake):
            sake.waits_for = needer.id
            self._holders |= {needer.id, moving[0].id}
            return None
        return victim

    def _highest(self, below: int, handed_out: set[int]) -> int | None:
        """Give the highest resident block below ``below`` that is not being handed out."""
        block = self.residency.highest_below(below)
        while block is not None and block in handed_out:
            block = self.residency.highest_below(block)
        return block

    def _holds(self, needer: Point, block: int, sake: Point) -> bool:
        """R3: say whether ``needer``'s need of ``block`` makes ``sake`` wait."""
        if not self.strict:
            return False
        if not sake.counts:
            return self.reserve > 0 and block - needer.block <= self.slots
        return needer.block < sake.block <= needer.block + self.slots and block < sake.block
