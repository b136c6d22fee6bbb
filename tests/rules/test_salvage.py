"""Reading around bad places, against a naive model: a disk in memory on which reads take their time."""

import errno
import math
import mmap

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanoutfs.ranges import Extent
from fanoutfs.source.bad_map import BadMap, Place
from fanoutfs.source.contract import EndedError, LostError
from fanoutfs.source.counters import Counters
from fanoutfs.source.mapfile import Mapfile, Region, Status
from fanoutfs.source.pieces import LEAST, Pieces
from fanoutfs.source.salvage import SEARCH_SECONDS, BadRanges, Salvage, Salvaged
from fanoutfs.units import MIB, PAGE, SECTOR
from tests.rig.images import pattern
from tests.scratched import InMemory

BLOCK = 256 * 1024
SIZE = 8 * MIB + 1000
CONTENT = pattern(0, SIZE)


@attrs.define(eq=False)
class Disk(InMemory):
    """A disk with a pattern; reads that touch a bad sector fail after ``failure`` seconds."""

    bad: set[int]
    """Sectors."""
    failure: float = 0.0
    size: int = SIZE
    path: str = "disk"
    identity: str = "disk"
    origin: str | None = None
    sector: int = SECTOR
    now: float = 0.0
    reads: list[Extent] = attrs.field(factory=list)
    ends: int = SIZE
    is_lost: bool = False
    errno: int = errno.EIO
    times: float = math.inf
    """How many reads fail."""

    def clock(self) -> float:
        return self.now

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        end = offset + length
        assert offset % SECTOR == 0
        assert length % SECTOR == 0 or end == SIZE
        assert sum(map(len, slots)) >= length
        self.reads.append((offset, end))
        if self.is_lost:
            raise LostError(errno.EIO, "lost")
        if self.times and not self.bad.isdisjoint(sectors(offset, end)):
            self.times -= 1
            self.now += self.failure
            raise OSError(self.errno, "bad")
        if end > self.ends:
            raise EndedError(errno.EIO, "ended")
        content = memoryview(CONTENT)[offset:end]
        for slot in slots:
            slot[: len(content[: len(slot)])] = content[: len(slot)]
            content = content[len(slot) :]


def sectors(begin: int, end: int) -> range:
    return range(begin // SECTOR, -(-end // SECTOR))


def salvage(disk: Disk, *, zero: bool, retries: int = 0, mapfile: Mapfile | None = None) -> Salvage:
    bad_map = BadMap(disk.size) if mapfile is None else BadMap.of(mapfile, disk.size)
    return Salvage(disk, Counters(), Pieces(), bad_map, zero=zero, retries=retries, clock=disk.clock)


def slots(length: int) -> list[memoryview]:
    memory = memoryview(mmap.mmap(-1, -(-length // BLOCK) * BLOCK))
    return [memory[at : at + BLOCK] for at in range(0, len(memory), BLOCK)]


def read(one: Salvage, offset: int, length: int) -> tuple[Salvaged, bytes]:
    """Read; what was read before the end that ``Salvaged.blocks`` says."""
    room = slots(length)
    for slot in room:
        slot[:] = b"\xee" * BLOCK
    found = one.read(offset, length, room)
    return found, b"".join(room)[: min(length, found.blocks * BLOCK)]


def covered(ranges: BadRanges) -> set[int]:
    """Return the sectors that these ranges touch; each is of whole sectors."""
    found: set[int] = set()
    for block, places in ranges.items():
        for begin, end in places:
            assert begin % SECTOR == 0
            found.update(sectors(block * BLOCK + begin, block * BLOCK + end))
    return found


def assert_right(found: Salvaged, content: bytes, offset: int, *, zero: bool) -> None:
    """Check that all is as on the disk but what is named, and that this is zeros with ``zero``."""
    assert not (found.bad if zero else found.zeros)
    missing = covered(found.zeros if zero else found.bad)
    for sector in sectors(offset, offset + len(content)):
        begin = sector * SECTOR - offset
        piece = content[begin : begin + SECTOR]
        if sector not in missing:
            assert piece == CONTENT[sector * SECTOR : sector * SECTOR + len(piece)], sector
        elif zero:
            assert not any(piece), sector


bad_sectors = st.sets(st.integers(0, SIZE // SECTOR), max_size=12)
areas = st.lists(st.tuples(st.integers(0, SIZE // SECTOR), st.integers(1, 3000)), max_size=3)


@given(bad_sectors, st.booleans())
@settings(derandomize=True, deadline=None, max_examples=25)
def test_exactly_the_bad_sectors(bad: set[int], zero: bool) -> None:
    """Where reads fail at once, just the bad sectors are missing, in the map too, and all else is right."""
    one = salvage(Disk(bad), zero=zero)
    for offset in range(0, SIZE, 2 * MIB):
        found, content = read(one, offset, min(2 * MIB, SIZE - offset))
        here = {sector for sector in bad if offset <= sector * SECTOR < offset + 2 * MIB}
        assert here == covered(found.zeros if zero else found.bad)
        assert_right(found, content, offset, zero=zero)
        assert not found.left
    expected = {sector for begin, end in one.map.extents(Status.BAD) for sector in sectors(begin, end)}
    assert bad == expected


@given(bad_sectors, areas, st.sampled_from([0.0, 0.05, 1.0, 20.0]), st.booleans(), st.integers(0, 2))
@settings(derandomize=True, deadline=None, max_examples=25)
def test_a_slow_disk_delays_no_read_for_long(
    bad: set[int], areas: list[tuple[int, int]], failure: float, zero: bool, retries: int
) -> None:
    """However it fails, each read ends in time, with no wrong byte; a second pass repairs what it can."""
    disk = Disk(bad | {first + n for first, count in areas for n in range(count)}, failure)
    one = salvage(disk, zero=zero, retries=retries)
    missing: set[int] = set()
    for turn in range(2):
        for offset in range(0, SIZE, BLOCK):
            began = disk.now
            found, content = read(one, offset, min(BLOCK, SIZE - offset))
            assert disk.now - began <= SEARCH_SECONDS + (2 + retries + BLOCK // LEAST) * failure
            assert_right(found, content, offset, zero=zero)
            named = covered(found.zeros if zero else found.bad)
            assert disk.bad & set(sectors(offset, offset + len(content))) <= named
            assert turn == 0 or not zero or named <= missing
            missing |= named
        one.try_again(0, SIZE)
    if zero:
        assert not any(place in (Place.LEFT, Place.AGAIN) for _, _, place in one.map.regions())


def test_a_large_bad_area_is_left_and_its_edges_are_found_later() -> None:
    """Reading goes on behind it within seconds; later both edges are found to the sector."""
    first, last = 2 * MIB // SECTOR + 77, 6 * MIB // SECTOR + 33
    disk = Disk(set(range(first, last)), failure=1.0, size=SIZE)
    one = salvage(disk, zero=True)
    one._area.most = MIB
    for offset in range(0, SIZE, MIB):
        read(one, offset, min(MIB, SIZE - offset))
    assert disk.now < 60
    before = one.map.extents(Status.NON_TRIMMED, Status.BAD)
    assert before[0][0] <= first * SECTOR
    assert before[-1][1] >= last * SECTOR
    one.try_again(0, SIZE)
    began = disk.now
    for offset in range(0, SIZE, MIB):
        read(one, offset, min(MIB, SIZE - offset))
    assert disk.now - began < 60
    after = one.map.extents(Status.NON_SCRAPED, Status.BAD)
    assert [(first * SECTOR, last * SECTOR)] == after


def test_one_bad_sector_among_good_ones_costs_four_failures() -> None:
    """One for each size of reads, and with zeros none any more when it is wanted again."""
    disk = Disk({5000})
    one = salvage(disk, zero=True)
    one.pieces.size = 4 * MIB
    found, _ = read(one, 0, 4 * MIB)
    failed = [length for begin, end in disk.reads if 5000 in sectors(begin, end) for length in [end - begin]]
    assert [4 * MIB, LEAST, 4096, SECTOR] == failed
    assert [(5000 * SECTOR, 5001 * SECTOR)] == found.found
    disk.reads.clear()
    found, _ = read(one, 0, 4 * MIB)
    assert {5000} == covered(found.zeros)
    assert not any(5000 in sectors(*each) for each in disk.reads)
    assert not found.found


def test_with_errors_a_bad_sector_is_tried_for_each_request() -> None:
    """So that a source that comes back is read; a sector that the map in the beginning names is not."""
    given = Mapfile((Region(0, 8 * SECTOR, Status.UNTRIED), Region(8 * SECTOR, 100, Status.BAD)))
    disk = Disk({5, 700})
    one = salvage(disk, zero=False, mapfile=given)
    assert {5, 8, 700} == covered(read(one, 0, MIB)[0].bad)
    disk.bad.clear()
    assert {8} == covered(read(one, 0, MIB)[0].bad)
    assert not any(8 in sectors(*each) for each in disk.reads)


def test_retries() -> None:
    """A sector that can be read at the third attempt is right with two retries."""
    for retries, missing in ((1, {9}), (2, set[int]())):
        disk = Disk({9}, times=4)
        # Two larger reads fail before, and the first of the sector.
        one = salvage(disk, zero=False, retries=retries)
        assert missing == covered(read(one, 0, BLOCK)[0].bad)


@pytest.mark.parametrize("zero", [False, True])
def test_what_is_no_bad_place_is_an_error(zero: bool) -> None:
    """Zeros never stand for a source that is lost, or has become shorter; and no map has it."""
    disk = Disk({100}, ends=MIB + 5 * SECTOR)
    one = salvage(disk, zero=zero)
    found, content = read(one, MIB, MIB)
    assert set(sectors(MIB + 5 * SECTOR, 2 * MIB)) == covered(found.bad)
    assert content[: 5 * SECTOR] == pattern(MIB, 5 * SECTOR)
    disk.is_lost = True
    assert set(sectors(0, MIB)) <= covered(read(one, 0, MIB)[0].bad)
    assert not one.map.extents(Status.BAD, Status.NON_TRIMMED, Status.NON_SCRAPED)


def test_a_disk_that_was_unplugged_is_not_full_of_zeros() -> None:
    """What its reads return then is no bad place: an error, and nothing of it is in the map."""
    one = salvage(Disk({100}, errno=errno.ENODEV), zero=True)
    found, _ = read(one, 0, MIB)
    assert {100} <= covered(found.bad)
    assert not found.zeros
    assert not one.map.extents(Status.BAD, Status.NON_TRIMMED)


def test_a_source_whose_sectors_are_large() -> None:
    """What a map names is extended to whole sectors, and no smaller read is made."""
    given = Mapfile((Region(0, 4 * PAGE + SECTOR, Status.UNTRIED), Region(4 * PAGE + SECTOR, 1, Status.BAD)))
    disk = Disk({96}, sector=PAGE)
    one = salvage(disk, zero=False, mapfile=given)
    assert {*range(32, 40), *range(96, 104)} == covered(read(one, 0, BLOCK)[0].bad)
    assert all(begin % PAGE == end % PAGE == 0 for begin, end in disk.reads)
