"""What is known of each byte of a source: read, bad, or left for later. No I/O, no clock.

It becomes a mapfile of GNU ddrescue, and may begin as one. One thread at a time changes it; others may ask
meanwhile, because a change replaces the lists as a whole.
"""

import enum
from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterator
from typing import Self

import attrs

from fanoutfs.ranges import Extent
from fanoutfs.source.mapfile import Mapfile, MapPhase, Region, Status


class Place(enum.Enum):
    """What is known of a byte, and what is done about it when it is wanted again."""

    UNTRIED = enum.auto()
    GOOD = enum.auto()
    """It was read."""
    BAD = enum.auto()
    """Its sector was tried by itself, and failed."""
    KNOWN_BAD = enum.auto()
    """As the map says with which the producer began; it is never touched."""
    DOUBTFUL = enum.auto()
    """It was part of a read that failed, or the map says so; it is read in small pieces."""
    LEFT = enum.auto()
    """The same, but it is not touched before it is said to be tried again."""
    AGAIN = enum.auto()
    """That was said."""
    TRIMMED = enum.auto()
    """It was tried again as long as there was time; it is not touched any more."""


LETTERS = {
    Place.UNTRIED: Status.UNTRIED,
    Place.GOOD: Status.FINISHED,
    Place.BAD: Status.BAD,
    Place.KNOWN_BAD: Status.BAD,
    Place.DOUBTFUL: Status.NON_TRIMMED,
    Place.LEFT: Status.NON_TRIMMED,
    Place.AGAIN: Status.NON_TRIMMED,
    Place.TRIMMED: Status.NON_SCRAPED,
}

GIVEN = {
    Status.UNTRIED: Place.UNTRIED,
    Status.FINISHED: Place.GOOD,
    Status.BAD: Place.KNOWN_BAD,
    Status.NON_TRIMMED: Place.DOUBTFUL,
    Status.NON_SCRAPED: Place.DOUBTFUL,
}
"""What a map says in the beginning: what others have read is read all the same when it is wanted."""


@attrs.define(eq=False)
class BadMap:
    """The places of a source of ``size`` bytes."""

    size: int
    _regions: tuple[list[int], list[Place]] = attrs.field(factory=lambda: ([0], [Place.UNTRIED]), init=False)
    """Where each region begins, and its place; never two equal ones in a row. Replaced as a whole."""
    changes: int = attrs.field(default=0, init=False)
    """Rises with each change of a byte that is not good."""

    @classmethod
    def of(cls, mapfile: Mapfile, size: int) -> Self:
        """Return the map as it begins with a mapfile; what that does not list is untried."""
        found = cls(size)
        for region in mapfile.regions:
            found.mark(region.begin, min(region.end, size), GIVEN[region.status])
        return found

    def at(self, offset: int) -> tuple[Place, int]:
        """Return the place of a byte, and where the places that are the same end."""
        begins, places = self._regions
        i = bisect_right(begins, offset) - 1
        return places[i], begins[i + 1] if i + 1 < len(begins) else self.size

    def regions(self, begin: int = 0, end: int | None = None) -> Iterator[tuple[int, int, Place]]:
        """Yield the regions within [begin, end), each with its begin, end and place."""
        begins, places = self._regions
        end = self.size if end is None else end
        i = bisect_right(begins, begin) - 1
        while begin < end:
            stop = min(end, begins[i + 1] if i + 1 < len(begins) else self.size)
            yield begin, stop, places[i]
            begin, i = stop, i + 1

    def mark(self, begin: int, end: int, place: Place) -> None:
        """Record the place of the bytes in [begin, end)."""
        if begin >= end:
            return
        begins, places = self._regions
        first, last = bisect_right(begins, begin) - 1, bisect_left(begins, end) - 1
        if first == last and places[first] is place:
            return
        if place is not Place.GOOD or any(old is not Place.UNTRIED for old in places[first : last + 1]):
            self.changes += 1
        new = [(begins[first], places[first]), (begin, place), (end, places[last])]
        if begins[first] == begin:
            new[0] = (begins[first - 1], places[first - 1]) if first else new[1]
            first -= 1
        if end == (begins[last + 1] if last + 1 < len(begins) else self.size):
            new[2] = (begins[last + 1], places[last + 1]) if last + 1 < len(begins) else new[1]
            last += 1
        kept = [one for number, one in enumerate(new) if not number or one[1] is not new[number - 1][1]]
        first = max(first, 0)
        self._regions = (
            begins[:first] + [at for at, _ in kept] + begins[last + 1 :],
            places[:first] + [which for _, which in kept] + places[last + 1 :],
        )

    def replace(self, begin: int, end: int, old: Container[Place], new: Place) -> None:
        """Record a new place for the bytes in [begin, end) whose place is one of the old."""
        for low, high, place in list(self.regions(begin, min(end, self.size))):
            if place in old:
                self.mark(low, high, new)

    def has_left(self, begin: int, end: int) -> bool:
        """Return whether some of the bytes in [begin, end) were left for later."""
        regions = self.regions(begin, min(end, self.size))
        return any(place in (Place.LEFT, Place.AGAIN) for _, _, place in regions)

    def totals(self) -> tuple[int, int, int]:
        """Return how many bad places there are, their bytes, and the bytes that may yet be readable."""
        bad = self.extents(Status.BAD)
        left = self.extents(Status.NON_TRIMMED, Status.NON_SCRAPED)
        return len(bad), sum(end - begin for begin, end in bad), sum(end - begin for begin, end in left)

    def align(self, sector: int) -> None:
        """Extend what is not good or untried to whole sectors, so that all that is read is such."""
        for begin, end, place in list(self.regions()):
            if place not in (Place.GOOD, Place.UNTRIED):
                self.mark(begin - begin % sector, min(end + -end % sector, self.size), place)

    def extents(self, *statuses: Status) -> list[Extent]:
        """Return the bytes of these statuses, in order; adjoining ones merged."""
        return [(begin, begin + length) for begin, length in self.mapfile().ranges(*statuses)]

    def mapfile(self, size: int | None = None) -> Mapfile:
        """Return it as a mapfile; of the first ``size`` bytes, where the source is found to be shorter."""
        regions: list[Region] = []
        for begin, end, place in self.regions(0, size):
            status = LETTERS[place]
            if regions and regions[-1].status is status:
                begin = regions.pop().begin  # noqa: PLW2901 (it goes on where the one before it ends)
            regions.append(Region(begin, end - begin, status))
        done = all(region.status in (Status.FINISHED, Status.BAD) for region in regions)
        return Mapfile(tuple(regions), 0, MapPhase.FINISHED if done else MapPhase.COPYING)
