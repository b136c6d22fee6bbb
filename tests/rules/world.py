"""A naive world around the rules: readers on a circle of blocks, a source, and a check of each decision.

The world drives the rules as the daemon does: a request whose block is resident is answered before time
passes, and while the source rests the rules are asked again only when they said that it is worthwhile, when a
reader asked or left, or when their time has come. ``inspection.py`` checks the decisions.
"""

import math
from collections.abc import Iterable
from copy import deepcopy

import attrs

from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.rules import Rules
from tests.rules.inspection import Inspection
from tests.rules.walker import PendingRequest, Walker

SOON = 1e-6
"""Seconds that a read of the source takes, unless a test passes another value."""


@attrs.define(eq=False)
class World:
    """Readers, rules and the time; checks each decision against every block."""

    rules: Rules
    now: float = 0.0
    walkers: dict[int, Walker] = attrs.field(factory=dict)
    reads: list[int] = attrs.field(factory=list)
    joined: int = 0
    under_way: Read | None = None
    awake: bool = True
    """The rules may have a decision; false while the source rests."""
    rests_until: float = math.inf
    debt: float = 0.0
    upsets: int = 0
    """Events after which what was read ahead may be read again."""
    inspects: bool = True
    """Check each decision; false where only the decisions themselves matter."""
    decisions: list[Rest | Read] = attrs.field(factory=list)

    # What readers do

    def join(self, at: int = 0) -> Walker:
        """Open an in-order reader that reads from ``at`` on."""
        return self._open(at, self.rules.blocks, start=None)

    def wrap(self) -> Walker:
        """Open a wrapping reader from the head round to the head."""
        start = self.rules.head
        walker = self._open(start, start + self.rules.blocks, start=start)
        assert (walker.cursor.block, walker.cursor.end) == (start, walker.end)
        return walker

    def _open(self, at: int, end: int, *, start: int | None) -> Walker:
        self.joined += 1
        cursor = self.rules.open(self.joined, start=start)
        walker = self.walkers[self.joined] = Walker(cursor, at, end, wraps=start is not None, began=at)
        return walker

    def borrow(self) -> Walker:
        """Open a consumer that goes once round from the head and holds its granted blocks for a while."""
        walker = self.wrap()
        walker.borrows = True
        walker.fresh = False
        self._move(walker, sequential=True)
        self.awake = True
        return walker

    def leave(self, number: int) -> None:
        walker = self.walkers[number]
        self.revoke(number)
        del self.walkers[number]
        if walker.request is not None:
            self.rules.answered(walker.request.request, self.now)
        self.rules.close(walker.cursor)
        self.awake = True
        self.upsets += 1

    def jump(self, number: int, to: int) -> None:
        walker = self.walkers[number]
        if walker.request is None and not walker.wraps:
            walker.place = walker.began = to
            walker.fresh = True
            walker.sequential = False
            walker.had.clear()
            self.upsets += 1
            self.step(number)

    def step(self, number: int, size: int = 1) -> bool:
        """Let a reader take what it requested, or the next ``size`` blocks; return whether it moved."""
        walker = self.walkers[number]
        if walker.request is not None:
            return self._answer(walker, walker.request)
        if walker.done:
            return False
        if walker.borrows:
            self._borrow_on(walker, size)
            return True
        if walker.fresh:
            # The first request sets the position, as in the stream; at block 0 it is sequential at once.
            self._move(walker, sequential=walker.wraps or walker.place == 0)
        elif not walker.sequential:
            self._move(walker, sequential=True)
        # A request ends at the end of the image: there a wrapping reader begins a new one.
        lap = (walker.place // self.rules.blocks + 1) * self.rules.blocks
        last = min(walker.place + size, walker.end, lap) - 1
        wanted = range(walker.place, last + 1)
        if all(self._there(block) for block in wanted):
            self._take(walker, wanted)
        else:
            self._ask(walker, walker.place, last)
        return True

    def grab(self, number: int) -> None:
        """Grant a consumer that holds blocks the resident ones after them, up to its window."""
        walker = self.walkers[number]
        if walker.held:
            self._grant(walker)

    def revoke(self, number: int) -> None:
        """Take a consumer's granted blocks back."""
        walker = self.walkers[number]
        if walker.held:
            self.awake |= self.rules.release(walker.granted)
            walker.held.clear()
            self.upsets += 1

    def again(self, number: int, back: int) -> None:
        """Request a block behind the reader again, as the kernel does for a page that it has lost."""
        walker = self.walkers[number]
        block = walker.place - back
        if walker.request is None and walker.had and block >= walker.began and not self._there(block):
            self._ask(walker, block, block, straggler=True)

    def _borrow_on(self, walker: Walker, size: int) -> None:
        """Let a consumer free the first of its blocks, be granted some, or request one."""
        if walker.held:
            freed = walker.granted[:size]
            slots = [self.rules.residency.slot_of.get(block % self.rules.blocks) for block in freed]
            assert walker.held[:size] == slots, "a block that is being copied out must stay in its slot"
            del walker.held[:size]
            self.awake |= self.rules.release(freed)
            self._take(walker, freed)
        else:
            # A consumer that lost its blocks is live again as soon as it continues.
            self._move(walker, sequential=True)
            if not self._grant(walker):
                self._ask(walker, walker.place, walker.place)

    def _grant(self, walker: Walker) -> bool:
        borrowers = sum(other.borrows for other in self.walkers.values())
        window = max(1, min(2 * self.rules.run, self.rules.slots // 2 // borrowers))
        first = block = walker.granted.stop
        while len(walker.held) < window and block < walker.end and self._there(block):
            walker.held.append(self.rules.residency.slot_of[block % self.rules.blocks])
            block += 1
        self.rules.grant(range(first, block))
        return block > first

    def _ask(self, walker: Walker, first: int, last: int, *, straggler: bool = False) -> None:
        urgent = walker.fresh or not walker.sequential or straggler
        request = self.rules.request(walker.cursor, first, last, self.now, fresh=walker.fresh)
        walker.request = PendingRequest(request, first, last, self.now, urgent, straggler)
        self.awake = True

    def _answer(self, walker: Walker, request: PendingRequest) -> bool:
        """Hand out what was requested: all at once if it is resident, else block by block."""
        if not self._there(request.at):
            return False
        rest = range(request.at, request.last + 1)
        if walker.borrows:
            self._grant(walker)
        if walker.borrows or all(self._there(block) for block in rest):
            walker.request = None
            walker.taken_at = self.now
            self.awake |= self.rules.answered(request.request, self.now)
            if not (walker.borrows or request.straggler):
                self._take(walker, rest)
        else:
            request.at += 1
            self.rules.advance(request.request, request.at)
            self._take(walker, rest[:1])
            self.awake = True
        return True

    def _take(self, walker: Walker, blocks: Iterable[int]) -> None:
        for block in blocks:
            assert block == walker.place, "out of order"
            assert self._there(block)
            walker.had.append(block)
            walker.place += 1
        walker.fresh = False
        self._move(walker, sequential=walker.sequential)

    def _move(self, walker: Walker, *, sequential: bool) -> None:
        walker.sequential = sequential
        walker.taken_at = self.now
        self.awake |= self.rules.move(walker.cursor, walker.place, sequential=sequential, now=self.now)
        assert walker.cursor.block == walker.place

    def _there(self, block: int) -> bool:
        return block % self.rules.blocks in self.rules.residency.slot_of

    # What the source does

    def begin(self) -> Rest | Read | None:
        """Decide, if there is a reason to, and check the decision; a read is then under way."""
        for number, walker in self.walkers.items():
            if not self.live(walker):
                # A dormant consumer counts as gone and loses its blocks.
                self.revoke(number)
        if self.under_way is not None or not (self.awake or self.now >= self.rests_until):
            return None
        before = set(self.rules.residency.slot_of)
        decision = self.rules.decide(self.now)
        self.decisions.append(decision)
        if self.inspects:
            Inspection(self, before, decision).check()
        if isinstance(decision, Read):
            self.under_way = decision
        else:
            self.awake = False
            self.rests_until = decision.until
        return decision

    def end(self, seconds: float = SOON) -> None:
        """Complete the read under way, which took ``seconds``."""
        read = self.under_way
        if read is None:
            return
        self.under_way = None
        self.awake = True
        self.now += seconds
        head = self.rules.head if read.detour else read.blocks.stop % self.rules.blocks
        self.rules.filled(read, seconds)
        assert self.rules.head == head, "the sweep moves the head, a detour leaves it"
        self.reads += read.blocks
        if read.detour:
            self.debt += seconds
        else:
            self.debt = max(0.0, self.debt - seconds)
        assert set(read.blocks) <= set(self.rules.residency.slot_of)

    def produce(self) -> Rest | Read | None:
        """Do one read, from decision to end."""
        self.end()
        decision = self.begin()
        self.end()
        return decision

    def spoil(self, block: int) -> None:
        """Drop a resident block that turned out bad and is requested again, as the ring does."""
        held = {r.at % self.rules.blocks for w in self.walkers.values() if (r := w.request) is not None}
        held |= {granted % self.rules.blocks for w in self.walkers.values() for granted in w.granted}
        if block in self.rules.residency.slot_of and block not in held:
            self.rules.drop_bad(block)
            self.upsets += 1

    # Time

    def live(self, walker: Walker) -> bool:
        """R5: return whether a reader waits for the source, or has taken a block within the patience."""
        return walker.request is not None or self.now < walker.taken_at + self.rules.patience

    def wait(self, seconds: float) -> None:
        """Let time pass, after the daemon has answered what it could."""
        self.answer_all()
        self.now += seconds
        self.upsets += len(self.walkers)

    def answer_all(self) -> None:
        for number, walker in self.walkers.items():
            if walker.request is not None:
                self.step(number)

    def stall(self, number: int, size: int) -> None:
        """Stop a reader for longer than its patience while the others continue."""
        for _ in range(5):
            for other in list(self.walkers):
                if other != number:
                    self.step(other, size)
            self.answer_all()
            self.produce()
            self.answer_all()
            self.now += self.rules.patience / 4
        self.upsets += 1

    def finish(self, goers: Iterable[int] | None = None, size: int = 1) -> None:
        """Let readers read to the end; fail if no reader can ever move again, or after too many reads."""
        numbers = list(self.walkers if goers is None else goers)
        going = [self.walkers[number] for number in numbers]
        left = sum(w.end - w.place for w in going)
        slack = (len(self.walkers) + self.upsets + 1) * (self.rules.slots + self.rules.run)
        most = len(self.reads) + left + slack
        while True:
            before = len(self.reads)
            moved = [self.step(number, size) for number in numbers]
            self.answer_all()
            if all(w.done and w.request is None for w in going):
                return
            self.produce()
            assert len(self.reads) <= most, f"{most} blocks should have been enough"
            if not any(moved) and len(self.reads) == before:
                self._would_rest()
                until = self.rests_until if self.rests_until < math.inf else self._next_dormant()
                assert until < math.inf, "no reader moves, and none ever will"
                assert until > self.now
                self.now = until

    def _would_rest(self) -> None:
        """Fail if a copy of the rules, asked again, would read a block that a reader waits for.

        A block that is only looked ahead for may wait for another event.
        """
        unasked = deepcopy(self.rules)
        waited_for = {r.at % unasked.blocks for w in self.walkers.values() if (r := w.request) is not None}
        for _ in range(unasked.slots):
            decision = unasked.decide(self.now)
            if isinstance(decision, Rest):
                return
            absent = waited_for - self.rules.residency.slot_of.keys()
            assert not absent & set(decision.blocks), "a reader waits, though the rules would read its block"
            unasked.filled(decision, SOON)

    def _next_dormant(self) -> float:
        """Return when the first consumer that holds blocks becomes dormant."""
        ends = (w.taken_at + self.rules.patience for w in self.walkers.values() if w.held)
        return min(ends, default=math.inf)
