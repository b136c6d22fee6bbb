"""A naive world around the rules: readers on a circle of blocks, a source, and a look at each decision.

The world drives the rules as the daemon does: a request that is there is answered before time passes, and
while the source rests the rules are asked again only when they said that it is worthwhile, somebody asked or
left, or their time has come. What a decision may be, ``inspection.py`` says.
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
"""Seconds that a read of the source takes unless a test says otherwise."""


@attrs.define(eq=False)
class World:
    """Readers, rules and the time; checks each decision against a look at every block."""

    rules: Rules
    now: float = 0.0
    walkers: dict[int, Walker] = attrs.field(factory=dict)
    reads: list[int] = attrs.field(factory=list)
    joined: int = 0
    under_way: Read | None = None
    awake: bool = True
    """The rules may have something to say; false while the source rests."""
    rests_until: float = math.inf
    debt: float = 0.0
    upsets: int = 0
    """Events after which what was read ahead may be read again."""
    inspects: bool = True
    """Each decision is checked; false where only the decisions themselves are of interest."""
    decisions: list[Rest | Read] = attrs.field(factory=list)

    # What readers do

    def join(self, at: int = 0) -> Walker:
        """Open an in-order reader that will read on from ``at``."""
        self.joined += 1
        point = self.rules.open(self.joined)
        walker = self.walkers[self.joined] = Walker(point, at, self.rules.blocks, wraps=False, began=at)
        return walker

    def wrap(self) -> Walker:
        """Open a wrapping reader from the head round to the head."""
        self.joined += 1
        start = self.rules.head
        point = self.rules.open(self.joined, start=start)
        end = start + self.rules.blocks
        walker = self.walkers[self.joined] = Walker(point, start, end, wraps=True, began=start)
        assert (point.block, point.end) == (start, end)
        return walker

    def borrow(self) -> Walker:
        """Have a consumer that goes once round from the head, and holds what it was granted for a while."""
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
        """Let a reader take what it has asked for, or the next ``size`` blocks; say whether it moved."""
        walker = self.walkers[number]
        if walker.request is not None:
            return self._answer(walker, walker.request)
        if walker.done:
            return False
        if walker.borrows:
            self._borrow_on(walker, size)
            return True
        if walker.fresh:
            # The first request says where it reads, as the stream does; at its beginning it is sequential at
            # once.
            self._move(walker, sequential=walker.wraps or walker.place == 0)
        elif not walker.sequential:
            self._move(walker, sequential=True)
        # A request does not go over the end of the image: there a wrapping reader begins another.
        lap = (walker.place // self.rules.blocks + 1) * self.rules.blocks
        last = min(walker.place + size, walker.end, lap) - 1
        wanted = range(walker.place, last + 1)
        if all(self._there(block) for block in wanted):
            self._take(walker, wanted)
        else:
            self._ask(walker, walker.place, last)
        return True

    def grab(self, number: int) -> None:
        """Let one that has something in hand have what lies ready behind it, up to its window."""
        walker = self.walkers[number]
        if walker.hand:
            self._grant(walker)

    def revoke(self, number: int) -> None:
        """Take back what one has in hand."""
        walker = self.walkers[number]
        if walker.hand:
            self.awake |= self.rules.release(walker.granted)
            walker.hand.clear()
            self.upsets += 1

    def again(self, number: int, back: int) -> None:
        """Ask once more for a block behind its place, as the kernel does for a page that it has lost."""
        walker = self.walkers[number]
        block = walker.place - back
        if walker.request is None and walker.had and block >= walker.began and not self._there(block):
            self._ask(walker, block, block, straggler=True)

    def _borrow_on(self, walker: Walker, size: int) -> None:
        """Let one free the first of what it has in hand, or have something, or ask."""
        if walker.hand:
            freed = walker.granted[:size]
            slots = [self.rules.residency.slot_of.get(block % self.rules.blocks) for block in freed]
            assert walker.hand[:size] == slots, "what is being copied out has to stay where it is"
            del walker.hand[:size]
            self.awake |= self.rules.release(freed)
            self._take(walker, freed)
        else:
            # One that lost what it had is live again from when it goes on.
            self._move(walker, sequential=True)
            if not self._grant(walker):
                self._ask(walker, walker.place, walker.place)

    def _grant(self, walker: Walker) -> bool:
        borrowers = sum(other.borrows for other in self.walkers.values())
        window = max(1, min(2 * self.rules.run, self.rules.slots // 2 // borrowers))
        first = block = walker.granted.stop
        while len(walker.hand) < window and block < walker.end and self._there(block):
            walker.hand.append(self.rules.residency.slot_of[block % self.rules.blocks])
            block += 1
        self.rules.grant(range(first, block))
        return block > first

    def _ask(self, walker: Walker, first: int, last: int, *, straggler: bool = False) -> None:
        urgent = walker.fresh or not walker.sequential or straggler
        ask = self.rules.request(walker.cursor, first, last, self.now, fresh=walker.fresh)
        walker.request = PendingRequest(ask, first, last, self.now, urgent, straggler)
        self.awake = True

    def _answer(self, walker: Walker, request: PendingRequest) -> bool:
        """Hand out what was asked for: at once when all is there, else block by block."""
        if not self._there(request.at):
            return False
        if walker.borrows:
            self._grant(walker)
            walker.request = None
            walker.taken_at = self.now
            self.awake |= self.rules.answered(request.request, self.now)
            return True
        rest = range(request.at, request.last + 1)
        if all(self._there(block) for block in rest):
            walker.request = None
            walker.taken_at = self.now
            self.awake |= self.rules.answered(request.request, self.now)
            if not request.straggler:
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
        """Decide, when there is reason to, and check the decision; the read is then under way."""
        for number, walker in self.walkers.items():
            if not self.live(walker):
                # Whoever holds blocks and is dormant is held to be gone.
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
        """Enter the read under way as done; it took so long."""
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
        """One read, from decision to end."""
        self.end()
        decision = self.begin()
        self.end()
        return decision

    def spoil(self, block: int) -> None:
        """Take a resident block out that turned out bad and is asked for again, as the ring does."""
        held = {r.at % self.rules.blocks for w in self.walkers.values() if (r := w.request) is not None}
        held |= {granted % self.rules.blocks for w in self.walkers.values() for granted in w.granted}
        if block in self.rules.residency.slot_of and block not in held:
            self.rules.drop_bad(block)
            self.upsets += 1

    # Time

    def live(self, walker: Walker) -> bool:
        """R5: it waits for us, or has taken something not long ago."""
        return walker.request is not None or self.now < walker.taken_at + self.rules.patience

    def wait(self, seconds: float) -> None:
        """Time passes; the daemon has answered what it could."""
        self.answer_all()
        self.now += seconds
        self.upsets += len(self.walkers)

    def answer_all(self) -> None:
        for number, walker in self.walkers.items():
            if walker.request is not None:
                self.step(number)

    def stall(self, number: int, size: int) -> None:
        """One stops for longer than its patience while the others go on."""
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
        """Let them read to the end; fails when nobody moves and nothing ever will, or for too many reads."""
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
                until = self.rests_until if self.rests_until < math.inf else self._a_term_ends()
                assert until < math.inf, "nobody moves and nothing ever will"
                assert until > self.now
                self.now = until

    def _would_rest(self) -> None:
        """Fail when the rules would have somebody go on, if they were asked.

        They are a plain book: that is easily tried. What is only looked ahead for may wait for another event.
        """
        unasked = deepcopy(self.rules)
        waited_for = {r.at % unasked.blocks for w in self.walkers.values() if (r := w.request) is not None}
        for _ in range(unasked.slots):
            decision = unasked.decide(self.now)
            if isinstance(decision, Rest):
                return
            absent = waited_for - self.rules.residency.slot_of.keys()
            assert not absent & set(decision.blocks), (
                "somebody waits, and the rules did not say that it could go on"
            )
            unasked.filled(decision, SOON)

    def _a_term_ends(self) -> float:
        """Give when the first of those will be dormant that have something in hand."""
        ends = (w.taken_at + self.rules.patience for w in self.walkers.values() if w.hand)
        return min(ends, default=math.inf)
