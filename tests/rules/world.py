"""A naive world around the rules: readers that take blocks one by one, a source that takes no time."""

import math

import attrs

from fanoutfs.ring.point import Ask, Point
from fanoutfs.ring.rules import Read, Rest, Rules


@attrs.define(eq=False)
class Walker:
    """A reader of the world; ``had`` is every block that it was given, in order."""

    point: Point
    ask: Ask | None = None
    had: list[int] = attrs.field(factory=list)
    fresh: bool = True


@attrs.define(eq=False)
class World:
    """Readers, rules and the time; checks each decision against a look at every block."""

    rules: Rules
    now: float = 0.0
    walkers: dict[int, Walker] = attrs.field(factory=dict)
    reads: list[int] = attrs.field(factory=list)
    joined: int = 0

    def join(self, at: int, *, counts: bool) -> None:
        self.joined += 1
        point = self.rules.open(self.joined)
        self.rules.move(point, at, counts=counts, now=self.now)
        self.walkers[self.joined] = Walker(point)

    def leave(self, number: int) -> None:
        walker = self.walkers.pop(number)
        if walker.ask is not None:
            self.rules.answered(walker.ask, self.now)
        self.rules.close(walker.point)

    def jump(self, number: int, to: int) -> None:
        walker = self.walkers[number]
        if walker.ask is None:
            walker.fresh = True
            self.rules.move(walker.point, to, counts=to == 0, now=self.now)

    def step(self, number: int) -> bool:
        """Let a reader take its next block, or ask for it; says whether anything changed."""
        walker = self.walkers[number]
        block = walker.point.block
        if block >= self.rules.blocks:
            return False
        if block in self.rules.residency.slot_of:
            if walker.ask is not None:
                self.rules.answered(walker.ask, self.now)
                walker.ask = None
            walker.had.append(block)
            counts = walker.point.counts or not walker.fresh
            walker.fresh = False
            self.rules.move(walker.point, block + 1, counts=counts, now=self.now)
            return True
        if walker.ask is None:
            walker.ask = self.rules.ask(walker.point, block, block, self.now, fresh=walker.fresh)
            return True
        return False

    def produce(self) -> Read | Rest:
        """One decision, checked, and carried out."""
        before = set(self.rules.residency.slot_of)
        uses = {block: self.next_use(block) for block in before}
        handed_out = {ask.at for p in self.rules.points.values() for ask in p.asks} & before
        decision = self.rules.decide(self.now)
        after = set(self.rules.residency.slot_of)
        gone = before - after
        assert not gone & handed_out
        for block in gone:
            for kept in after - handed_out:
                assert uses[kept] <= uses[block]
                assert uses[kept] < math.inf or kept < block
        if isinstance(decision, Read):
            assert not set(decision.blocks) & after
            self.rules.filled(decision, 0.001)
            self.reads += decision.blocks
        else:
            assert decision.until > self.now, "it would be asked again at once, for ever"
        assert len(self.rules.residency.slot_of) + self.rules.residency.free == self.rules.slots
        return decision

    def next_use(self, block: int) -> float:
        """How far the nearest live consumer that needs it is; a look at every consumer."""
        uses = [
            block - p.block
            for p in self.rules.points.values()
            if p.counts and p.block <= block and not self.rules.dormant(p, self.now)
        ]
        return min(uses, default=math.inf)

    def finish(self) -> None:
        """Let everybody read to the end; fails when nobody moves and nothing ever will."""
        for _ in range(100 * self.rules.blocks * (len(self.walkers) + 1)):
            moved = [self.step(number) for number in self.walkers]
            decision = self.produce()
            if all(w.point.block >= self.rules.blocks for w in self.walkers.values()):
                return
            if not any(moved) and isinstance(decision, Rest):
                assert decision.until < math.inf, "nobody moves and nothing ever will"
                self.now = max(self.now, decision.until)
        raise AssertionError("the readers do not get to the end")
