"""One decision of the rules, checked block by block and reader by reader.

What the rules compute with sorted lists is computed here with loops over every block and every reader, from
the text of the rules alone. R1 to R5 are those of the head of ``rules.py``.
"""

import math
from typing import TYPE_CHECKING

import attrs

from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.rules import Rules
from tests.rules.walker import Walker

if TYPE_CHECKING:
    from tests.rules.world import World


@attrs.define(eq=False)
class Inspection:
    """One decision, and the ring before it."""

    world: "World"
    before: set[int]
    decision: Read | Rest
    rules: Rules = attrs.field(init=False)
    now: float = attrs.field(init=False)
    free_before: int = attrs.field(init=False)
    active: list[Walker] = attrs.field(init=False)
    """The live sequential readers that need more: the rules keep blocks for them alone."""
    asked: set[int] = attrs.field(init=False)
    """The blocks that waiting readers get next."""
    granted: set[int] = attrs.field(init=False)
    """The blocks that consumers are copying out of the ring."""

    def __attrs_post_init__(self) -> None:
        self.rules = self.world.rules
        self.now = self.world.now
        self.free_before = self.rules.slots - len(self.before)
        walkers = self.world.walkers.values()
        self.active = [w for w in walkers if w.sequential and not w.done and self.world.live(w)]
        self.asked = {self.real(w.request.at) for w in walkers if w.request is not None}
        self.granted = {self.real(block) for w in walkers for block in w.granted}

    def real(self, block: int) -> int:
        return block % self.rules.blocks

    def check(self) -> None:
        """Raise AssertionError unless the decision is one that the rules allow."""
        after = set(self.rules.residency.slot_of)
        lent = self.decision.slots if isinstance(self.decision, Read) else ()
        taken = [*self.rules.residency.slot_of.values(), *lent]
        assert after <= self.before
        assert len(taken) == len(set(taken)), "a slot is used twice"
        assert len(taken) + self.rules.residency.free == self.rules.slots, "a slot is lost"
        gone = self.before - after
        assert not gone & self.asked, "a waiting reader is about to get it"
        assert not gone & self.granted, "being copied out"
        self.check_farthest(gone, after)
        if isinstance(self.decision, Rest):
            self.check_rest(self.decision)
        else:
            self.check_read(self.decision)
            readers = self.readers_for(self.decision)
            assert readers, "no reader wants it"
            good = [w for w in readers if self.is_let(w, self.decision, gone) or self.in_ring_of_waits(w)]
            assert good, "R3: a reader in reach behind needs it"
            self.check_run(self.decision, readers, gone)

    # R2

    def next_use(self, block: int) -> float:
        """Return the distance in blocks to the nearest reader that needs a block."""
        ways = ((w, (block - w.place) % self.rules.blocks) for w in self.active)
        return min((way for w, way in ways if w.place + way < w.end), default=math.inf)

    def check_farthest(self, gone: set[int], after: set[int]) -> None:
        for block in gone:
            for kept in after - self.asked - self.granted - self.looked_ahead_for():
                assert self.next_use(kept) <= self.next_use(block), "R2"
                assert self.next_use(kept) < math.inf or kept < block, "R2: the highest first"

    def looked_ahead_for(self) -> set[int]:
        """Return every block that may be in a look-ahead."""
        return {self.real(block) for walker in self.active for block in self.window(walker)}

    # R3

    @property
    def paced(self) -> bool:
        """R3 may make a reader wait: not in a ring that holds the whole image."""
        return self.rules.strict and self.rules.slots < self.rules.blocks

    def round(self, other: Walker, front: Walker) -> int:
        """Return how many blocks ``front`` is ahead of ``other``, round the circle."""
        return (front.place - other.place) % self.rules.blocks

    def leads_to(self, other: Walker, place: int) -> bool:
        """Return whether a reader still has to read the block at ``place``."""
        return (place - other.place) % self.rules.blocks < other.end - other.place

    def in_reach(self, other: Walker, front: Walker) -> bool:
        """Return whether ``other`` is at most K blocks behind ``front``, round the circle."""
        return 0 < self.round(other, front) <= self.rules.slots

    def keeps(self, block: int, front: Walker) -> bool:
        """R3: the reader that uses the block next is in reach behind ``front``, and the block lies between.

        Round the circle each reader is behind the other. So a reader that stops before ``front`` is behind it
        only if ``front`` has read the block: on a line no reader is behind the last.
        """
        next_use = self.next_use(block)
        for other in self.active:
            uses_next = self.leads_to(other, block) and (block - other.place) % self.rules.blocks == next_use
            between = uses_next and next_use < self.round(other, front) and self.in_reach(other, front)
            if between and (self.leads_to(other, front.place) or not self.leads_to(front, block)):
                return True
        return False

    def kept_from(self, front: Walker, gone: set[int]) -> bool:
        """R3: a block was evicted that must not go on behalf of ``front``."""
        return self.rules.strict and front in self.active and any(self.keeps(block, front) for block in gone)

    def held_back(self, walker: Walker) -> bool:
        """R3 may apply: a reader in reach is behind this one, or keeps a block from it."""
        if not self.rules.strict:
            return False
        return any(self.keeps(block, walker) for block in self.before) or any(
            self.leads_to(other, walker.place) or not self.leads_to(walker, other.place)
            for other in self.active
            if self.in_reach(other, walker)
        )

    def is_let(self, front: Walker, read: Read, gone: set[int]) -> bool:
        """R3: no block was evicted that must not go for ``front``, and it does not leave its pack behind."""
        ahead = (read.first - front.place) % self.rules.blocks
        late = not any(self.leads_to(w, read.first) for w in self.active if self.round(w, front) == 0)
        in_reach = late or ahead + len(read.slots) <= self.reach(front)
        return in_reach and not self.kept_from(front, gone)

    def is_behind(self, place: int, other: int) -> bool:
        """Return whether the readers at one real block are in reach behind those at another."""
        ones = [w for w in self.active if self.real(w.place) == place]
        others = [w for w in self.active if self.real(w.place) == other]
        leads = any(self.leads_to(w, other) for w in ones)
        return self.in_reach(ones[0], others[0]) and (
            leads or not any(self.leads_to(w, place) for w in others)
        )

    def reach(self, front: Walker) -> float:
        """R3: return how many blocks ``front`` may have, given the last reader in reach behind it."""
        rules, place = self.rules, self.real(front.place)
        if front not in self.active or not self.paced:
            return math.inf
        behind = [self.round(w, front) for w in self.active if self.is_behind(self.real(w.place), place)]
        if not behind:
            return math.inf
        others = (self.packs() - 1) * rules.ahead.guarded
        end = front.place - max(behind) + max(1, rules.slots - rules.reserve - others)
        while self.together() and end % rules.blocks % self.whole():
            end -= 1
        return end - front.place

    def packs(self) -> int:
        """Count the packs: round the circle, a reader that is not in reach behind the next ends one."""
        places = sorted({self.real(w.place) for w in self.active})
        torn = [not self.is_behind(a, b) for a, b in zip(places, places[1:] + places[:1], strict=True)]
        return max(1, sum(torn))

    def together(self) -> bool:
        """Return whether all readers are in one pack no longer than the ring."""
        near = any(all(self.round(a, b) <= self.rules.slots for b in self.active) for a in self.active)
        return near and self.packs() == 1

    # R4

    def stuck(self, walker: Walker) -> bool:
        """Return whether a reader waits for a block that is not resident."""
        return walker.request is not None and self.real(walker.request.at) not in self.before

    def in_ring_of_waits(self, walker: Walker) -> bool:
        """Return whether the readers that one may have to wait for can in turn wait for it."""
        seen: list[Walker] = []
        ways = [walker] if self.stuck(walker) else []
        while ways:
            front = ways.pop()
            for other in self.active:
                if not self.stuck(other) or not self.in_reach(other, front):
                    continue
                if other is walker:
                    return True
                if other not in seen:
                    seen.append(other)
                    ways.append(other)
        return False

    # R1

    def window(self, walker: Walker) -> range:
        """Return the longest look-ahead of a reader; it begins after the blocks that it gets next."""
        most = min(self.rules.look_ahead_runs * self.rules.run, self.rules.slots // 2)
        if self.real(walker.place) in self.asked & self.before:
            most += self.rules.run
        return range(walker.place, min(walker.end, walker.place + most))

    def asked_by(self, walker: Walker) -> list[int]:
        """Return the requested blocks that are not resident, unrolled."""
        request = walker.request
        if request is None:
            return []
        wanted = range(request.at, request.last + 1)
        return [block for block in wanted if self.real(block) not in self.before]

    def readers_for(self, read: Read) -> list[Walker]:
        """Return the readers that a read may be for."""
        found = []
        for walker in self.world.walkers.values():
            wanted = set(self.asked_by(walker))
            if walker in self.active and not read.detour:
                wanted |= set(self.window(walker))
            if read.first in {self.real(block) for block in wanted}:
                found.append(walker)
        return found

    def check_read(self, read: Read) -> None:
        assert 1 <= len(read.slots) <= self.rules.run
        assert 0 <= read.first < read.blocks.stop <= self.rules.blocks
        assert not set(read.blocks) & self.before, "it is resident"
        if read.detour:
            self.check_detour(read)
        else:
            self.check_nearest(read)

    def whole(self) -> int:
        """Return the length of a whole run."""
        return max(1, min(self.rules.run, self.rules.slots // 8))

    def check_run(self, read: Read, readers: list[Walker], gone: set[int]) -> None:
        """R1: beyond the look-ahead a run continues to its boundary, in slots that no reader needs."""
        rules, stop = self.rules, read.blocks.stop
        run_boundary, whole, together = rules.ahead.run_boundary, self.whole(), self.together()
        border = (read.first // whole + 1) * whole
        if stop > (read.first // run_boundary + 1) * run_boundary:
            assert together, "R1: another pack may want these slots"
            assert self.paced
            assert not read.detour
            assert stop <= border
            assert all(self.next_use(block) == math.inf for block in gone), (
                "R1: a reader needs what was evicted"
            )
            assert any(all(self.leads_to(w, block) for block in read.blocks) for w in readers)
        may_continue = (
            together
            and self.paced
            and not read.detour
            and stop < min(border, rules.blocks)
            and stop not in self.before
            and all(self.needs_next(w, read) for w in readers)
        )
        if may_continue:
            kept = self.asked | self.granted | gone
            assert rules.residency.free <= rules.reserve, "R1: it could go on"
            assert all(self.next_use(block) < math.inf for block in self.before - kept), "R1: it could go on"

    def needs_next(self, walker: Walker, read: Read) -> bool:
        """Return whether a reader needs the block after a run, and need not wait for it."""
        stop = read.blocks.stop
        ahead = (stop - walker.place) % self.rules.blocks
        let = ahead < self.reach(walker) and not self.in_ring_of_waits(walker)
        return walker in self.active and self.leads_to(walker, stop) and let

    def check_nearest(self, read: Read) -> None:
        """R1: no wanted block nearer to the head was passed over, except because of R3."""
        head = self.rules.head
        for block in self.free_to_be_read():
            assert (read.first - head) % self.rules.blocks <= (block - head) % self.rules.blocks, "R1"

    def free_to_be_read(self) -> list[int]:
        """Return the blocks wanted by readers that R3 does not hold back, if a slot can be freed."""
        if self.no_free_slot():
            return []
        found = []
        for walker in self.active:
            if not self.held_back(walker):
                found += self.asked_by(walker)[:1] if not walker.request_is_late else []
                found += [b for b in self.surely_looked_ahead(walker) if self.real(b) not in self.before]
        return found

    def surely_looked_ahead(self, walker: Walker) -> range:
        """Return a reader's look-ahead without the last blocks, where runs may end."""
        ahead = self.rules.ahead
        return range(walker.place, min(walker.end, walker.place + ahead.blocks - ahead.run_boundary + 1))

    def no_free_slot(self) -> bool:
        """Too few blocks may be evicted: they are looked ahead for, about to be read, or being copied out."""
        may_go = self.before - self.looked_ahead_for() - self.asked - self.granted
        return len(may_go) + self.free_before <= self.rules.reserve

    # R1a

    def check_detour(self, read: Read) -> None:
        overdue = set()
        for walker in self.world.walkers.values():
            request = walker.request
            if request is not None and (request.urgent or self.now >= request.since + self.rules.turn):
                overdue |= {self.real(block) for block in self.asked_by(walker)}
        assert read.first in overdue, "a detour is for a reader that has waited its turn"
        if self.world.debt > 0:
            assert not self.free_to_be_read(), "the sweep's half of the time"

    # Deadlock

    def check_rest(self, rest: Rest) -> None:
        assert rest.until > self.now, "the rules would be asked again at once, for ever"
        waiting = [w for w in self.world.walkers.values() if w.request is not None]
        absent = [w for w in waiting if w.request is not None and self.real(w.request.at) not in self.before]
        movers = [w for w in self.active if w not in waiting]
        assert movers or not absent or len(waiting) > len(absent), "R4: all readers wait for one another"
