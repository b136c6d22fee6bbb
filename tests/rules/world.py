"""A naive world around the rules: readers on a circle of blocks, a source, and a look at every block.

Nothing here is clever: what the rules work out with sorted lists is worked out anew for each decision by
loops over every block and every reader, from the words of the rules alone. The world drives them as the
daemon does: a request that is there is answered before time passes, and while the source rests the rules are
asked again only when they said that it is worthwhile, somebody asked or left, or their time has come.
"""

import math
from collections.abc import Iterable
from copy import deepcopy

import attrs

from fanoutfs.ring.point import Ask, Point
from fanoutfs.ring.rules import Read, Rest, Rules

SOON = 1e-6
"""Seconds that a read of the source takes unless a test says otherwise."""


@attrs.define(eq=False)
class Request:
    """What a reader waits for: blocks ``at`` to ``last``, unrolled; a straggler's lie behind its place."""

    ask: Ask
    at: int
    last: int
    since: float
    urgent: bool
    straggler: bool = False


@attrs.define(eq=False)
class Walker:
    """A reader of the world; ``had`` is every block that it was given since it began or jumped, in order."""

    point: Point
    place: int
    end: int
    wraps: bool
    counts: bool = False
    fresh: bool = True
    taken_at: float = -math.inf
    request: Request | None = None
    had: list[int] = attrs.field(factory=list)
    began: int = 0

    @property
    def request_is_late(self) -> bool:
        """What it asks for lies behind its place."""
        return self.request is not None and self.request.straggler

    @property
    def done(self) -> bool:
        """It has had everything."""
        return self.place >= self.end


@attrs.define(eq=False)
class World:
    """Readers, rules and the time; checks each decision against a look at every block."""

    rules: Rules
    now: float = 0.0
    walkers: dict[int, Walker] = attrs.field(factory=dict)
    reads: list[int] = attrs.field(factory=list)
    joined: int = 0
    under_way: Read | None = None
    last: Read | Rest | None = None
    awake: bool = True
    """The rules may have something to say; false while the source rests."""
    rests_until: float = math.inf
    debt: float = 0.0
    upsets: int = 0
    """Events after which what was read ahead may be read again."""

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

    def leave(self, number: int) -> None:
        walker = self.walkers.pop(number)
        if walker.request is not None:
            self.rules.answered(walker.request.ask, self.now)
        self.rules.close(walker.point)
        self.awake = True
        self.upsets += 1

    def jump(self, number: int, to: int) -> None:
        walker = self.walkers[number]
        if walker.request is None and not walker.wraps:
            walker.place = walker.began = to
            walker.fresh = True
            walker.counts = False
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
        if walker.fresh:
            # The first request says where it reads, as the stream does; at its beginning it counts at once.
            self._move(walker, counts=walker.wraps or walker.place == 0)
        elif not walker.counts:
            self._move(walker, counts=True)
        # A request does not go over the end of the image: there a wrapping reader begins another.
        lap = (walker.place // self.rules.blocks + 1) * self.rules.blocks
        last = min(walker.place + size, walker.end, lap) - 1
        wanted = range(walker.place, last + 1)
        if all(self._there(block) for block in wanted):
            self._take(walker, wanted)
        else:
            self._ask(walker, walker.place, last)
        return True

    def again(self, number: int, back: int) -> None:
        """Ask once more for a block behind its place, as the kernel does for a page that it has lost."""
        walker = self.walkers[number]
        block = walker.place - back
        if walker.request is None and walker.had and block >= walker.began and not self._there(block):
            self._ask(walker, block, block, straggler=True)

    def _ask(self, walker: Walker, first: int, last: int, *, straggler: bool = False) -> None:
        urgent = walker.fresh or not walker.counts or straggler
        ask = self.rules.ask(walker.point, first, last, self.now, fresh=walker.fresh)
        walker.request = Request(ask, first, last, self.now, urgent, straggler)
        self.awake = True

    def _answer(self, walker: Walker, request: Request) -> bool:
        """Hand out what was asked for: at once when all is there, else block by block."""
        if not self._there(request.at):
            return False
        rest = range(request.at, request.last + 1)
        if all(self._there(block) for block in rest):
            walker.request = None
            walker.taken_at = self.now
            self.awake |= self.rules.answered(request.ask, self.now)
            if not request.straggler:
                self._take(walker, rest)
        else:
            request.at += 1
            self.rules.advance(request.ask, request.at)
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
        self._move(walker, counts=walker.counts)

    def _move(self, walker: Walker, *, counts: bool) -> None:
        walker.counts = counts
        walker.taken_at = self.now
        self.awake |= self.rules.move(walker.point, walker.place, counts=counts, now=self.now)
        assert walker.point.block == walker.place

    def _there(self, block: int) -> bool:
        return block % self.rules.blocks in self.rules.residency.slot_of

    # What the source does

    def begin(self) -> Rest | Read | None:
        """Decide, when there is reason to, and check the decision; the read is then under way."""
        if self.under_way is not None or not (self.awake or self.now >= self.rests_until):
            return None
        before = set(self.rules.residency.slot_of)
        decision = self.last = self.rules.decide(self.now)
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
        if block in self.rules.residency.slot_of and block not in held:
            self.rules.forget(block)
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
                # The rules are a plain book: what they would say if they were asked is easily tried.
                unasked = deepcopy(self.rules).decide(self.now)
                assert isinstance(unasked, Rest), (
                    "somebody waits, and the rules did not say that it could go on"
                )
                until = self.rests_until
                assert until < math.inf, "nobody moves and nothing ever will"
                assert until > self.now
                self.now = until


@attrs.define(eq=False)
class Inspection:
    """One decision, looked at block by block and reader by reader."""

    world: World
    before: set[int]
    decision: Read | Rest
    rules: Rules = attrs.field(init=False)
    now: float = attrs.field(init=False)
    free_before: int = attrs.field(init=False)
    points: list[Walker] = attrs.field(init=False)
    """The live counting readers that need more: those for whom the rules keep anything."""
    asked: set[int] = attrs.field(init=False)
    """What waiting readers are about to be handed."""

    def __attrs_post_init__(self) -> None:
        self.rules = self.world.rules
        self.now = self.world.now
        self.free_before = self.rules.slots - len(self.before)
        walkers = self.world.walkers.values()
        self.points = [w for w in walkers if w.counts and not w.done and self.world.live(w)]
        self.asked = {self.real(w.request.at) for w in walkers if w.request is not None}

    def real(self, block: int) -> int:
        return block % self.rules.blocks

    def check(self) -> None:
        """All that must hold for each decision."""
        after = set(self.rules.residency.slot_of)
        lent = self.decision.slots if isinstance(self.decision, Read) else ()
        taken = [*self.rules.residency.slot_of.values(), *lent]
        assert after <= self.before
        assert len(taken) == len(set(taken)), "a slot is used twice"
        assert len(taken) + self.rules.residency.free == self.rules.slots, "a slot is lost"
        gone = self.before - after
        assert not gone & self.asked, "about to be handed out"
        self.check_farthest(gone, after)
        if isinstance(self.decision, Rest):
            self.check_rest(self.decision)
        else:
            self.check_read(self.decision)
            sakes = self.sakes(self.decision)
            assert sakes, "nobody wants it"
            good = [w for w in sakes if not self.kept_from(w, gone) or self.in_ring_of_waits(w)]
            assert good, "R3: somebody in reach behind needs it"

    # R2

    def next_use(self, block: int) -> float:
        """How many blocks the nearest who needs it has to go before it."""
        ways = [(block - w.place) % self.rules.blocks for w in self.points]
        return min(
            (way for way, w in zip(ways, self.points, strict=True) if w.place + way < w.end), default=math.inf
        )

    def check_farthest(self, gone: set[int], after: set[int]) -> None:
        for block in gone:
            for kept in after - self.asked - self.looked_ahead_for():
                assert self.next_use(kept) <= self.next_use(block), "R2"
                assert self.next_use(kept) < math.inf or kept < block, "R2: the highest first"

    def looked_ahead_for(self) -> set[int]:
        """Give what may lie in a look-ahead, at the most."""
        return {self.real(block) for walker in self.points for block in self.window(walker)}

    # R3

    def round(self, who: Walker, front: Walker) -> int:
        """How many blocks ``front`` is ahead of ``who``, going round the circle."""
        return (front.place - who.place) % self.rules.blocks

    def leads_to(self, who: Walker, place: int) -> bool:
        """Say whether somebody's way leads over a block."""
        return (place - who.place) % self.rules.blocks < who.end - who.place

    def in_reach(self, who: Walker, front: Walker) -> bool:
        """Say whether one is at most K blocks behind another, whichever of them is in front."""
        return 0 < self.round(who, front) <= self.rules.slots

    def keeps(self, block: int, front: Walker) -> bool:
        """R3: who uses the block next is in reach behind, and it lies between.

        Round the circle each is behind the other. So one whose way does not lead to where the other is, is
        behind it only if that one has had the block: on a line nobody is behind the last.
        """
        next_use = self.next_use(block)
        for who in self.points:
            uses_next = self.leads_to(who, block) and (block - who.place) % self.rules.blocks == next_use
            between = uses_next and next_use < self.round(who, front) and self.in_reach(who, front)
            if between and (self.leads_to(who, front.place) or not self.leads_to(front, block)):
                return True
        return False

    def kept_from(self, front: Walker, gone: set[int]) -> bool:
        """R3: one of the blocks that went was not to go for this one's sake."""
        return self.rules.strict and front in self.points and any(self.keeps(block, front) for block in gone)

    def held_back(self, walker: Walker) -> bool:
        """R3 may have a say: somebody in reach is behind it, or keeps something from it."""
        if not self.rules.strict:
            return False
        return any(self.keeps(block, walker) for block in self.before) or any(
            self.leads_to(who, walker.place) or not self.leads_to(walker, who.place)
            for who in self.points
            if self.in_reach(who, walker)
        )

    # R4

    def stuck(self, walker: Walker) -> bool:
        """Say whether it waits for a block that is not there."""
        return walker.request is not None and self.real(walker.request.at) not in self.before

    def in_ring_of_waits(self, walker: Walker) -> bool:
        """Say whether the way from one to those whom it may have to wait for can lead back to this one."""
        seen: list[Walker] = []
        ways = [walker] if self.stuck(walker) else []
        while ways:
            front = ways.pop()
            for who in self.points:
                if not self.stuck(who) or not self.in_reach(who, front):
                    continue
                if who is walker:
                    return True
                if who not in seen:
                    seen.append(who)
                    ways.append(who)
        return False

    # R1

    def window(self, walker: Walker) -> range:
        """Give the most that its look-ahead can be; it begins behind what is about to be given."""
        most = min(self.rules.look_ahead_runs * self.rules.run, self.rules.slots // 2)
        if self.real(walker.place) in self.asked & self.before:
            most += self.rules.run
        return range(walker.place, min(walker.end, walker.place + most))

    def asked_by(self, walker: Walker) -> list[int]:
        """Give what it has asked for and is not there, unrolled."""
        request = walker.request
        if request is None:
            return []
        wanted = range(request.at, request.last + 1)
        return [block for block in wanted if self.real(block) not in self.before]

    def sakes(self, read: Read) -> list[Walker]:
        """For whom this can be."""
        found = []
        for walker in self.world.walkers.values():
            wanted = set(self.asked_by(walker))
            if walker in self.points and not read.detour:
                wanted |= set(self.window(walker))
            if read.first in {self.real(block) for block in wanted}:
                found.append(walker)
        return found

    def check_read(self, read: Read) -> None:
        assert 1 <= len(read.slots) <= self.rules.run
        assert 0 <= read.first < read.blocks.stop <= self.rules.blocks
        assert not set(read.blocks) & self.before, "it is there"
        if read.detour:
            self.check_detour(read)
        else:
            self.check_nearest(read)

    def check_nearest(self, read: Read) -> None:
        """R1: what is wanted and nearer to the head was not passed over but for R3's sake."""
        head = self.rules.head
        for block in self.free_to_be_read():
            assert (read.first - head) % self.rules.blocks <= (block - head) % self.rules.blocks, "R1"

    def free_to_be_read(self) -> list[int]:
        """Give what is wanted by those for whom R3 has nothing to say, when something may go."""
        if self.starved():
            return []
        found = []
        for walker in self.points:
            if not self.held_back(walker):
                found += self.asked_by(walker)[:1] if not walker.request_is_late else []
                found += [b for b in self.surely_looked_ahead(walker) if self.real(b) not in self.before]
        return found

    def surely_looked_ahead(self, walker: Walker) -> range:
        """Give its look-ahead but for the last blocks, where runs may end."""
        rules = self.rules
        return range(walker.place, min(walker.end, walker.place + rules._look - rules._granule + 1))

    def starved(self) -> bool:
        """Too little of what is there may go: it is looked ahead for, or about to be given."""
        may_go = self.before - self.looked_ahead_for() - self.asked
        return len(may_go) + self.free_before <= self.rules.reserve

    # R1a

    def check_detour(self, read: Read) -> None:
        overdue = set()
        for walker in self.world.walkers.values():
            request = walker.request
            if request is not None and (request.urgent or self.now >= request.since + self.rules.turn):
                overdue |= {self.real(block) for block in self.asked_by(walker)}
        assert read.first in overdue, "a detour is for one who has waited its turn"
        if self.world.debt > 0:
            assert not self.free_to_be_read(), "the sweep's half of the time"

    # Deadlock

    def check_rest(self, rest: Rest) -> None:
        assert rest.until > self.now, "it would be asked again at once, for ever"
        waiting = [w for w in self.world.walkers.values() if w.request is not None]
        absent = [w for w in waiting if w.request is not None and self.real(w.request.at) not in self.before]
        movers = [w for w in self.points if w not in waiting]
        assert movers or not absent or len(waiting) > len(absent), "R4: all wait for one another"
