"""The rules of ``ring/rules.py`` in a world where time is a number: what a mount would do.

Theory of operation
    A queue of events in order of time: somebody comes, has taken its block, goes; a read of the source ends.
    Each event tells the rules what happened. The source reads one run at a time; what comes next is decided
    as soon as a read ends, and while it rests whenever an event has said that deciding again is worthwhile,
    and when the rules said so. As on a mount, the decision comes before those that waited for the read are
    woken.

    A reader takes a block at once and then needs ``block / rate`` seconds for it. Meanwhile the block is
    handed out and the reader holds no slot for it. What is there for all of the same kind at the same time
    is given to one cohort (``cohort.py``).

What is not modelled
    The page cache, requests smaller than a block, read errors, the time that FUSE takes.
"""

import math
from collections.abc import Callable, Hashable
from functools import partial, reduce
from heapq import heappop, heappush
from itertools import count

import attrs

from fanoutfs.errors import UnusableError
from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.point import Point
from fanoutfs.ring.rules import Rules
from fanoutfs.simulate.cohort import Cohort, Member
from fanoutfs.simulate.grain import Grain, grain
from fanoutfs.simulate.scenario import Scenario


@attrs.frozen(kw_only=True)
class Finish:
    """What became of one reader; seconds, and bytes."""

    came: float
    start: int
    """Offset of its first byte."""
    took: float | None
    """From when it came until it had everything; None: it left before."""
    waited: float
    longest: float
    """The longest time without a byte that was not its own doing."""


@attrs.frozen(kw_only=True)
class Reading:
    """One read of the source, for pictures; seconds."""

    begin: float
    end: float
    blocks: range
    detour: bool


@attrs.define(eq=False)
class Track:
    """Where one reader was, for pictures."""

    start: int = 0
    """The block that it began with."""
    had: list[tuple[float, int]] = attrs.field(factory=list)
    """When (seconds) it had had how many blocks; straight lines lie between."""


@attrs.define(eq=False)
class Recording:
    """What a picture is made of; times in seconds, places in blocks."""

    tracks: list[Track]
    reads: list[Reading] = attrs.field(factory=list)
    resident: list[tuple[float, tuple[tuple[int, int], ...]]] = attrs.field(factory=list)
    """From when on which arcs were resident."""


@attrs.frozen(kw_only=True)
class Outcome:
    """What one run of the model came to; bytes and seconds."""

    scenario: Scenario
    grain: Grain
    source_bytes: int
    seeks: int
    seconds: float
    memory: int
    """Most bytes of the ring in use at a time."""
    readers: tuple[Finish, ...]
    recording: Recording | None

    @property
    def passes(self) -> float:
        """What was read of the source, in images."""
        return self.source_bytes / self.scenario.size


def simulate(scenario: Scenario, *, record: bool = False) -> Outcome:
    """Run a scenario to its end; ``record`` keeps what a picture needs.

    Raises UnusableError when the rules come to a standstill, which they never should.
    """
    return _Model(scenario, record=record).run()


class _Model:
    """One run; what is in it is in blocks where its name does not say bytes."""

    def __init__(self, scenario: Scenario, *, record: bool) -> None:
        self.scenario = scenario
        self.grain = grain(scenario)
        slowest = max(self.grain.seconds(reader.rate) for reader in scenario.readers)
        self.rules = Rules(
            blocks=self.grain.blocks,
            slots=self.grain.slots,
            run=self.grain.run,
            # A reader of the model takes nothing between two blocks, a real one takes bytes all the time.
            patience=scenario.patience + slowest,
            turn=scenario.turn * self.grain.scale,
            strict=scenario.pace == "strict",
            look_ahead_runs=scenario.look_ahead_runs,
        )
        self.now = 0.0
        self.left = len(scenario.readers)  # readers that are still to finish or to leave
        self.source_bytes = self.seeks = self.memory = 0
        self.recording = Recording([Track() for _ in scenario.readers]) if record else None
        self._members = [Member(reader, number) for number, reader in enumerate(scenario.readers)]
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = count()  # what was entered first comes first, at the same time
        self._waiting: dict[int, dict[Hashable, list[Cohort]]] = {}  # by real block and kind
        # Who has which block in hand, and until when.
        self._taking: dict[tuple[Hashable, int, float], Cohort] = {}
        self._reading: Read | None = None
        self._work = False
        self._decisions = 0
        self._adjoins: int | None = None  # where the source can go on without a seek

    def run(self) -> Outcome:
        for member in self._members:
            self._at(member.reader.at, partial(self._arrive, member))
        while self.left:
            if not self._queue:
                raise UnusableError(
                    f"the rules stand still at {self.now:g} s with {self.left} readers waiting"
                )
            self.now, _, act = heappop(self._queue)
            act()
            # All that happens at one time happens before the rules look at it.
            while self._queue and self._queue[0][0] <= self.now:
                heappop(self._queue)[2]()
            if self._work and self._reading is None:
                self._decide()
        return self._outcome()

    def _at(self, time: float, act: Callable[[], None]) -> None:
        heappush(self._queue, (time, next(self._serial), act))

    # Readers

    def _arrive(self, member: Member) -> None:
        reader, rules = member.reader, self.rules
        if reader.order == "image":
            point = rules.open(member.number)
        else:
            member.start = rules.head
            point = rules.open(member.number, start=member.start)
        if self.recording is not None:
            self.recording.tracks[member.number].start = member.start
        cohort = Cohort(point, reader, self.grain.seconds(reader.rate))
        cohort.enter(member, self.grain.blocks)
        if reader.leaves is not None:
            self._at(max(reader.leaves, reader.at), lambda: self._leave(cohort))
        self._work |= rules.move(point, point.block, counts=True, now=self.now)
        self._go_on(cohort)

    def _leave(self, cohort: Cohort) -> None:
        if cohort.gone:
            return
        for member in cohort.members():
            cohort.settle(member)
            self.left -= 1
        if cohort.ask is not None:
            del self._waiting[cohort.point.block % self.grain.blocks][cohort.kind]
        cohort.gone = True
        self._drop(cohort.point)

    def _drop(self, point: Point) -> None:
        for ask in list(point.asks):
            self._work |= self.rules.answered(ask, self.now)
        self._work |= self.rules.close(point)

    def _go_on(self, cohort: Cohort) -> None:
        """Let a cohort that has done with a block take the next ones, until that takes time or is a wait."""
        residency, blocks = self.rules.residency, self.grain.blocks
        while not cohort.gone:
            self._note(cohort)
            for member in cohort.finished():
                cohort.settle(member)
                member.finished = self.now
                self.left -= 1
            if not len(cohort):
                cohort.gone = True
                self._drop(cohort.point)
                return
            stall = cohort.stalls_now(self.now, self.grain.block)
            if stall is not None:
                self._at(self.now + stall.seconds, lambda: self._go_on(cohort))
                return
            block = cohort.point.block
            if block % blocks not in residency.slot_of:
                self._wait(cohort)
                return
            self._take(cohort)
            if cohort.seconds:
                return

    def _wait(self, cohort: Cohort) -> None:
        """Let a cohort wait for its block, beside others of its kind that need as much and wait for it."""
        block = cohort.point.block
        # Of a coarse block only a small part would be read at once.
        fresh = cohort.taken == 0 and not self.grain.coarse
        waiting = self._waiting.setdefault(block % self.grain.blocks, {})
        there = waiting.setdefault(cohort.kind, [])
        cohort.since = self.now
        if there and there[-1].remaining >= cohort.remaining and not fresh:
            self._drop(cohort.point)
            cohort.point = there[-1].point
            there[-1].beside.append(cohort)
            return
        cohort.ask = self.rules.ask(cohort.point, block, block, self.now, fresh=fresh)
        there.append(cohort)
        self._work = True

    def _take(self, cohort: Cohort) -> None:
        """Take the next block, which is there; unless it takes no time, the cohort goes on when it has it."""
        point = cohort.point
        block = point.block % self.grain.blocks
        if cohort.ask is not None:
            self._work |= self.rules.answered(cohort.ask, self.now)
            cohort.ask = None
        cohort.taken += 1
        self._work |= self.rules.move(point, point.block + 1, counts=True, now=self.now)
        if not cohort.seconds:
            return
        ready_at = self.now + cohort.seconds * self._bytes(range(block, block + 1)) / self.grain.block
        step = (cohort.kind, block, ready_at)
        there = self._taking.get(step)
        if there is not None and not there.gone:
            cohort = self._join(there, cohort)
        self._taking[step] = cohort
        if cohort is not there:
            self._at(ready_at, partial(self._done, cohort, step))

    def _done(self, cohort: Cohort, step: tuple[Hashable, int, float]) -> None:
        self._taking.pop(step, None)
        if not cohort.gone:
            self._go_on(cohort)

    def _join(self, one: Cohort, other: Cohort) -> Cohort:
        """Make one of two cohorts that stand at one place; gives the one that goes on."""
        if len(one) < len(other):
            one, other = other, one
        spare = one.absorb(other)
        if spare is not one.point:
            self._drop(spare)
        return one

    def _wake(self, block: int) -> None:
        """Give a block that has come to those who wait for it; those of one kind go on as one."""
        for cohorts in self._waiting.pop(block, {}).values():
            # Those who stand beside another one have its point: they join it before it joins others.
            together = reduce(self._join, [self._woken(cohort) for cohort in cohorts])
            self._take(together)
            if not together.seconds:
                self._go_on(together)

    def _woken(self, cohort: Cohort) -> Cohort:
        """End the wait of a cohort and of those beside it; gives what they are together."""
        all_of_them = [cohort, *cohort.beside]
        cohort.beside = []
        for one in all_of_them:
            one.waits.add(self.now - one.since)
            self._note(one)
        return reduce(self._join, all_of_them)

    # The source

    def _decide(self) -> None:
        self._work = False
        self._decisions += 1
        decision = self.rules.decide(self.now)
        if isinstance(decision, Rest):
            if decision.until < math.inf:
                self._at(decision.until, partial(self._rested, self._decisions))
            return
        self._reading = decision
        seek = self._adjoins not in (None, decision.first)
        self._adjoins = decision.blocks.stop
        length = self._bytes(decision.blocks)
        seconds = length / self.scenario.source_rate
        if seek:
            self.seeks += 1
            seconds += self.scenario.seek_time * self.grain.scale
        self.source_bytes += length
        self.memory = max(self.memory, self.grain.slots - self.rules.residency.free)
        self._at(self.now + seconds, partial(self._read, decision, self.now))

    def _rested(self, decision: int) -> None:
        if decision == self._decisions:
            self._work = True

    def _read(self, read: Read, begin: float) -> None:
        self._reading = None
        self.rules.filled(read, self.now - begin)
        if self.recording is not None:
            self.recording.reads.append(
                Reading(begin=begin, end=self.now, blocks=read.blocks, detour=read.detour)
            )
            self.recording.resident.append((self.now, tuple(self.rules.residency.arcs())))
        self._decide()
        for block in read.blocks:
            self._wake(block)

    def _bytes(self, blocks: range) -> int:
        return min(blocks.stop * self.grain.block, self.scenario.size) - blocks.start * self.grain.block

    # What came of it

    def _note(self, cohort: Cohort) -> None:
        if self.recording is not None:
            for member in cohort.members():
                had = self.grain.blocks - (member.due - cohort.taken)
                self.recording.tracks[member.number].had.append((self.now, had))

    def _outcome(self) -> Outcome:
        return Outcome(
            scenario=self.scenario,
            grain=self.grain,
            source_bytes=self.source_bytes,
            seeks=round(self.seeks * self.grain.scale),
            seconds=self.now,
            memory=min(self.memory * self.grain.block, self.scenario.ring),
            readers=tuple(
                Finish(
                    came=m.reader.at,
                    start=m.start * self.grain.block,
                    took=None if m.finished is None else m.finished - m.reader.at,
                    waited=m.waited,
                    longest=m.longest,
                )
                for m in self._members
            ),
            recording=self.recording,
        )
