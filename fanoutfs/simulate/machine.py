"""One machine of the model: a ring with its rules, a producer, and readers.

Theory of operation
    A queue of events in order of time (``clock.py``): a reader starts, finishes a block, or leaves; a read
    of the source ends. Each event tells the rules what happened. The source reads one run at a time. The next
    read is decided as soon as a read ends; while the source rests, whenever an event has made a new decision
    worthwhile, and at the time that the rules named. As on a mount, the decision comes before the readers
    that waited for the read are woken.

    A reader takes a block at once and then needs ``block / rate`` seconds for it. Meanwhile the reader holds
    no slot for it. Readers of one kind that take a block at the same time become one cohort (``cohort.py``).

    The network card sends blocks to other nodes one after the other. As each node waits for one block at a
    time, the nodes share the card's rate fairly.

What is not modelled
    The page cache, requests smaller than a block, read errors, the time that FUSE takes.
"""

import math
from collections.abc import Callable, Hashable
from functools import partial, reduce

import attrs

from fanoutfs.ring.cursor import Cursor
from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.rules import Rules
from fanoutfs.simulate.clock import Clock
from fanoutfs.simulate.cohort import Cohort, Member
from fanoutfs.simulate.grain import Grain
from fanoutfs.simulate.result import Finish, Reading, Recording
from fanoutfs.simulate.scenario import Scenario
from fanoutfs.simulate.supply import Supply


@attrs.define(eq=False)
class Card:
    """A network card, which sends at ``rate`` bytes per second, one block after the other."""

    rate: float = math.inf
    sent: int = attrs.field(default=0, init=False)
    """Bytes."""
    _free_at: float = attrs.field(default=0.0, init=False)

    def send(self, now: float, size: int, receivers: int, rate: float) -> float:
        """Send ``size`` bytes to each of the receivers, which receive at ``rate``; return when all have left.

        While a slow receiver receives, the card serves others, too.
        """
        self._free_at = max(now, self._free_at) + receivers * size / self.rate
        self.sent += receivers * size
        return max(self._free_at, now + size / rate)


class SimulatedMachine:
    """One run of one machine; counts are in blocks unless a name says bytes."""

    def __init__(
        self,
        scenario: Scenario,
        grain: Grain,
        clock: Clock,
        supply: Supply,
        *,
        card: Card | None = None,
        slowest: float = 0.0,
        recording: Recording | None = None,
    ) -> None:
        """Schedule the scenario's readers; its nodes are ignored.

        ``slowest``: seconds that a reader on another node may need for a block.
        """
        self.scenario, self.grain, self.clock, self.supply = scenario, grain, clock, supply
        self.card = card or Card()
        self.recording = recording
        slowest = max(slowest, *(grain.seconds(reader.rate) for reader in scenario.readers), 0.0)
        self.rules = Rules(
            blocks=grain.blocks,
            slots=grain.slots,
            run=grain.run,
            # A reader of the model reads nothing between two blocks; a real one reads continuously.
            patience=scenario.patience + slowest,
            turn=scenario.turn * grain.scale,
            strict=scenario.pace == "strict",
            look_ahead_runs=scenario.look_ahead_runs,
        )
        self.dead = False
        """The machine has died."""
        self._most_used = 0
        self._members = [Member(reader, number) for number, reader in enumerate(scenario.readers)]
        self._waiting: dict[int, dict[Hashable, list[Cohort]]] = {}  # by real block and kind
        self._awaited: dict[int, list[Callable[[], None]]] = {}  # by real block
        # Cohorts that are busy with a block, by their kind, the block, and the end.
        self._taking: dict[tuple[Hashable, int, float], Cohort] = {}
        self._reading: Read | None = None
        self._work = False
        self._decisions = 0
        clock.left += len(self._members)
        for member in self._members:
            self._at(member.reader.at, partial(self._arrive, member))

    def _at(self, time: float, act: Callable[[], None]) -> None:
        self.clock.at(time, self, act)

    def settle(self) -> None:
        """Decide, if what has happened makes that worthwhile."""
        if self._work and self._reading is None:
            self._decide()

    # For relays on other nodes

    def worthwhile(self, work: bool) -> None:
        """Record whether a change to the rules makes a decision worthwhile."""
        if work:
            self._work = True
            self.clock.touch(self)

    def when_there(self, block: int, act: Callable[[], None]) -> None:
        """Call ``act`` as soon as an absent real block has been read."""
        self._awaited.setdefault(block, []).append(act)

    def die(self) -> None:
        """Stop the machine permanently: its readers leave, and it reads nothing more."""
        self.dead = True
        for member in self._members:
            if member.finished is None and not member.left:
                member.left = True
                self.clock.left -= 1

    # Readers

    def _arrive(self, member: Member) -> None:
        if self.dead:
            return
        reader, rules = member.reader, self.rules
        if reader.order == "image":
            cursor = rules.open(member.number)
        else:
            member.start = rules.head
            cursor = rules.open(member.number, start=member.start)
        if self.recording is not None:
            self.recording.tracks[member.number].start = member.start
        cohort = Cohort(cursor, reader, self.grain.seconds(reader.rate))
        cohort.enter(member, self.grain.blocks)
        if reader.leaves is not None:
            self._at(max(reader.leaves, reader.at), lambda: self._leave(cohort))
        self._work |= rules.move(cursor, cursor.block, sequential=True, now=self.clock.now)
        self._advance(cohort)

    def _leave(self, cohort: Cohort) -> None:
        if cohort.gone or self.dead:
            return
        for member in cohort.members():
            cohort.settle(member)
            member.left = True
            self.clock.left -= 1
        if cohort.request is not None:
            del self._waiting[cohort.cursor.block % self.grain.blocks][cohort.kind]
        cohort.gone = True
        self._drop(cohort.cursor)

    def _drop(self, cursor: Cursor) -> None:
        for request in list(cursor.requests):
            self._work |= self.rules.answered(request, self.clock.now)
        self._work |= self.rules.close(cursor)

    def _advance(self, cohort: Cohort) -> None:
        """Let a cohort take its next blocks, until that takes time or it has to wait."""
        residency, blocks = self.rules.residency, self.grain.blocks
        while not cohort.gone and not self.dead:
            self._note(cohort)
            for member in cohort.finished():
                cohort.settle(member)
                member.finished = self.clock.now
                self.clock.left -= 1
            if not len(cohort):
                cohort.gone = True
                self._drop(cohort.cursor)
                return
            stall = cohort.stalls_now(self.clock.now, self.grain.block)
            if stall is not None:
                self._at(self.clock.now + stall.seconds, lambda: self._advance(cohort))
                return
            block = cohort.cursor.block
            if block % blocks not in residency.slot_of:
                self._wait(cohort)
                return
            self._take(cohort)
            if cohort.seconds:
                return

    def _wait(self, cohort: Cohort) -> None:
        """Park a cohort until its block comes, with one that waits already and needs as much, if any."""
        block = cohort.cursor.block
        # Of a coarse block only a small part would be read at once.
        fresh = cohort.taken == 0 and not self.grain.coarse
        waiting = self._waiting.setdefault(block % self.grain.blocks, {})
        there = waiting.setdefault(cohort.kind, [])
        cohort.since = self.clock.now
        if there and there[-1].remaining >= cohort.remaining and not fresh:
            self._drop(cohort.cursor)
            cohort.cursor = there[-1].cursor
            there[-1].companions.append(cohort)
            return
        cohort.request = self.rules.request(cohort.cursor, block, block, self.clock.now, fresh=fresh)
        there.append(cohort)
        self._work = True

    def _take(self, cohort: Cohort) -> None:
        """Take the next block, which is resident; if that takes time, the cohort continues afterwards."""
        cursor, now = cohort.cursor, self.clock.now
        block = cursor.block % self.grain.blocks
        if cohort.request is not None:
            self._work |= self.rules.answered(cohort.request, now)
            cohort.request = None
        cohort.taken += 1
        self._work |= self.rules.move(cursor, cursor.block + 1, sequential=True, now=now)
        if not cohort.seconds:
            return
        ready_at = now + cohort.seconds * self.bytes_of(range(block, block + 1)) / self.grain.block
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
            self._advance(cohort)

    def _join(self, one: Cohort, other: Cohort) -> Cohort:
        """Merge two cohorts at one position; return the one that remains."""
        if len(one) < len(other):
            one, other = other, one
        spare = one.absorb(other)
        if spare is not one.cursor:
            self._drop(spare)
        return one

    def _wake(self, block: int) -> None:
        """Wake the cohorts that wait for a block; those of one kind continue as one."""
        for cohorts in self._waiting.pop(block, {}).values():
            # Companions share the cursor of their cohort: they merge into it before it merges into others.
            together = reduce(self._join, [self._woken(cohort) for cohort in cohorts])
            self._take(together)
            if not together.seconds:
                self._advance(together)
        for act in self._awaited.pop(block, []):
            act()

    def _woken(self, cohort: Cohort) -> Cohort:
        """End the wait of a cohort and its companions; return the merged cohort."""
        all_of_them = [cohort, *cohort.companions]
        cohort.companions = []
        for one in all_of_them:
            one.waits.add(self.clock.now - one.since)
            self._note(one)
        return reduce(self._join, all_of_them)

    # The source

    def _decide(self) -> None:
        self._work = False
        if self.dead:
            return
        self._decisions += 1
        decision = self.rules.decide(self.clock.now)
        if isinstance(decision, Rest):
            if decision.until < math.inf:
                self._at(decision.until, partial(self._rested, self._decisions))
            return
        self._reading = decision
        self._most_used = max(self._most_used, self.grain.slots - self.rules.residency.free)
        read = partial(self._read, decision, self.clock.now)
        self.supply.read(self, decision.blocks, self.bytes_of(decision.blocks), read)

    def _rested(self, decision: int) -> None:
        if decision == self._decisions:
            self._work = True

    def _read(self, read: Read, begin: float) -> None:
        now = self.clock.now
        self._reading = None
        if self.dead:
            return
        self.rules.filled(read, now - begin)
        if self.recording is not None:
            self.recording.reads.append(Reading(begin=begin, end=now, blocks=read.blocks, detour=read.detour))
            self.recording.resident.append((now, tuple(self.rules.residency.arcs())))
        self._decide()
        for block in read.blocks:
            self._wake(block)

    def bytes_of(self, blocks: range) -> int:
        """Return the size of real blocks in bytes."""
        return min(blocks.stop * self.grain.block, self.scenario.size) - blocks.start * self.grain.block

    # Results

    def _note(self, cohort: Cohort) -> None:
        if self.recording is not None:
            for member in cohort.members():
                had = self.grain.blocks - (member.due - cohort.taken)
                self.recording.tracks[member.number].had.append((self.clock.now, had))

    @property
    def memory(self) -> int:
        """Most bytes of the ring in use at any time."""
        return min(self._most_used * self.grain.block, self.scenario.ring)

    def finishes(self) -> tuple[Finish, ...]:
        """Return the result of each reader."""
        return tuple(
            Finish(
                came=m.reader.at,
                start=m.start * self.grain.block,
                took=None if m.finished is None else m.finished - m.reader.at,
                waited=m.waited,
                longest_wait=m.longest,
            )
            for m in self._members
        )
