"""What is known of each byte, against a list of bytes."""

import itertools
import random

from fanoutfs.source.bad_map import BadMap, Place
from fanoutfs.source.mapfile import Mapfile, MapPhase, Region, Status


def test_any_marks() -> None:
    """After any marks each byte has the place it was given last, and no two neighbours are the same."""
    for seed in range(200):
        chance = random.Random(seed)
        size = chance.randint(1, 30)
        found, naive = BadMap(size), [Place.UNTRIED] * size
        for _ in range(30):
            begin = chance.randint(0, size - 1)
            end, place = chance.randint(begin, size), chance.choice(list(Place)[:4])
            found.mark(begin, end, place)
            naive[begin:end] = [place] * (end - begin)
            regions = list(found.regions())
            assert naive == [which for low, high, which in regions for _ in range(low, high)]
            assert all(one[2] is not other[2] for one, other in itertools.pairwise(regions))
            assert (naive[begin], next(high for low, high, _ in regions if high > begin)) == found.at(begin)


def test_a_map_that_was_given() -> None:
    """Bad sectors are known; what was tried in part is doubtful; all else is simply read."""
    statuses = (Status.FINISHED, Status.BAD, Status.NON_SCRAPED, Status.NON_TRIMMED)
    given = Mapfile(tuple(Region(512 * number, 512, status) for number, status in enumerate(statuses)))
    found = BadMap.of(given, 4096)
    regions = [(0, 512, Place.GOOD), (512, 1024, Place.KNOWN_BAD), (1024, 2048, Place.DOUBTFUL),
               (2048, 4096, Place.UNTRIED)]  # fmt: skip
    assert regions == list(found.regions())


def test_as_a_mapfile() -> None:
    """Places of one letter are one region; it is finished when every byte is good or bad."""
    found = BadMap(4096)
    found.mark(0, 1024, Place.GOOD)
    found.mark(1024, 1536, Place.BAD)
    found.mark(1536, 2048, Place.KNOWN_BAD)
    found.mark(2048, 4096, Place.LEFT)
    regions = (Region(0, 1024, Status.FINISHED), Region(1024, 1024, Status.BAD),
               Region(2048, 2048, Status.NON_TRIMMED))  # fmt: skip
    assert Mapfile(regions) == found.mapfile()
    found.mark(2048, 4096, Place.GOOD)
    assert found.mapfile().phase is MapPhase.FINISHED
