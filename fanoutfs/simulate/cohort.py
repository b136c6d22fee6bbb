"""Readers that have become identical, modelled as one.

Readers of one kind (same order, same rate, no stall or leave ahead) that take the same block at the same
time behave identically from then on, except for where each ends. The rules would see several cursors at
one position, and the cursor that needs most needs all that the others need. So that cursor stands for all
of them, and the other readers leave when they have read everything. This makes ten thousand readers
cheap.
"""

from bisect import bisect_left
from collections.abc import Hashable
from heapq import heappop, heappush

import attrs

from fanoutfs.ring.cursor import Cursor, Request
from fanoutfs.simulate.scenario import SimulatedReader, Stall


@attrs.define(eq=False)
class Member:
    """One reader in the model; ``waited`` and ``longest`` are from before it entered its cohort."""

    reader: SimulatedReader
    number: int
    start: int = 0
    """The first block that it read."""
    due: int = 0
    """How many blocks its cohort has taken when this reader has read everything."""
    finished: float | None = None
    """Seconds since the scenario began; None: it left before."""
    left: bool = False
    """It left before it had read everything."""
    waited: float = 0.0
    longest: float = 0.0
    waited_before: float = 0.0
    waits_before: int = 0


@attrs.define(eq=False)
class Waits:
    """How long a cohort has waited, and the longest since any of its earlier waits."""

    total: float = 0.0
    count: int = 0
    _serials: list[int] = attrs.field(factory=list, init=False)
    _lengths: list[float] = attrs.field(factory=list, init=False)
    """Of the waits after which there was no longer one, in descending order."""

    def add(self, seconds: float) -> None:
        """Record one wait."""
        while self._lengths and self._lengths[-1] <= seconds:
            self._lengths.pop()
            self._serials.pop()
        self._serials.append(self.count)
        self._lengths.append(seconds)
        self.total += seconds
        self.count += 1

    def longest_since(self, serial: int) -> float:
        """Return the longest wait from the ``serial``-th on; 0 if there was no wait."""
        i = bisect_left(self._serials, serial)
        return self._lengths[i] if i < len(self._lengths) else 0.0


@attrs.define(eq=False)
class Cohort:
    """Readers at one position, with the cursor of the reader that goes farthest."""

    cursor: Cursor
    first: SimulatedReader
    """Its first reader; the others will behave as it does."""
    seconds: float
    """Seconds that it takes for a whole block."""
    taken: int = 0
    """Blocks, since this cohort was made."""
    since: float = 0.0
    """When its wait began, if it waits."""
    request: Request | None = None
    """What it waits for; a companion has none: it shares the cursor and request of its cohort."""
    companions: list["Cohort"] = attrs.field(factory=list)
    """Cohorts that reached the block that this one waits for, need no more than it, and continue with it."""
    gone: bool = False
    last_due: int = 0
    kind: Hashable = attrs.field(init=False)
    """Only cohorts of one kind may join."""
    waits: Waits = attrs.field(factory=Waits)
    _stalls: tuple[Stall, ...] = attrs.field(init=False)
    _members: list[tuple[int, int, Member]] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._stalls = self.first.stalls
        special = self._stalls or self.first.leaves is not None
        self.kind = self if special else (self.first.order, self.seconds)

    def __len__(self) -> int:
        return len(self._members)

    @property
    def remaining(self) -> int:
        """Blocks that the member that goes farthest still needs."""
        return self.last_due - self.taken

    def members(self) -> list[Member]:
        """Return the members, in any order."""
        return [member for _, _, member in self._members]

    def enter(self, member: Member, remaining: int) -> None:
        """Add a reader that needs ``remaining`` more blocks."""
        member.due = self.taken + remaining
        member.waited_before, member.waits_before = self.waits.total, self.waits.count
        self.last_due = max(self.last_due, member.due)
        heappush(self._members, (member.due, member.number, member))

    def settle(self, member: Member) -> None:
        """Record with a reader how long it has waited in this cohort."""
        member.waited += self.waits.total - member.waited_before
        member.longest = max(member.longest, self.waits.longest_since(member.waits_before))
        member.waited_before, member.waits_before = self.waits.total, self.waits.count

    def finished(self) -> list[Member]:
        """Remove and return the members that have read the whole image."""
        found = []
        while self._members and self._members[0][0] <= self.taken:
            found.append(heappop(self._members)[2])
        return found

    def stalls_now(self, now: float, block: int) -> Stall | None:
        """Remove and return the stall that begins now, if any; ``block`` is in bytes."""
        for stall in self._stalls:
            by_time = stall.at is not None and now >= stall.at
            by_place = stall.position is not None and self.taken * block >= stall.position
            if by_time or by_place:
                self._stalls = tuple(other for other in self._stalls if other is not stall)
                return stall
        return None

    def absorb(self, other: "Cohort") -> Cursor:
        """Merge ``other``, which is then gone, into this one; return the cursor that is no longer needed."""
        for member in other.members():
            other.settle(member)
        spare = other.cursor
        if other.remaining > self.remaining:
            spare, self.cursor = self.cursor, other.cursor
        for member in other.members():
            self.enter(member, member.due - other.taken)
        other.gone = True
        self.request = self.cursor.requests[0] if self.cursor.requests else None
        return spare
