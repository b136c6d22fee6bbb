"""Readers that jump about: served long before their turn comes, and what they jump over is not read."""

import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mount.conftest import FOR_EVER, MountFactory, opened
from tests.rig.images import MIB, check_pattern
from tests.rig.mounts import Mount

SIZE = 24 * MIB
BLOCKS = SIZE // MIB
both_ways = pytest.mark.parametrize("way", [0, os.O_DIRECT], ids=["cached", "direct"])


@pytest.fixture
def mounted(mount: MountFactory, source: Path) -> Mount:
    """Mount a pattern image of 24 MiB with a ring of four blocks."""
    return mount(source, "--ring", "4M", "--block", "1M", "--turn", FOR_EVER)


def read_at(image: Path, way: int, places: Sequence[int], length: int) -> None:
    """Read at each place through one handle."""
    with opened(image, way) as handle:
        for place in places:
            data = os.pread(handle, length, place)
            assert min(length, SIZE - place) == len(data)
            check_pattern(data, place)


@both_ways
@pytest.mark.parametrize("places", [(0, 16), (0, 1, 2, 16), (2, 0, 16), (16, 0), (0, 1, 16, 17, 4, 5)])
def test_a_jump_after_reading_straight_on(way: int, places: Sequence[int], mounted: Mount) -> None:
    """A read of two blocks after a jump is answered before its turn, and costs a few blocks."""
    offsets = [place * MIB + MIB // 2 for place in places]
    read_at(mounted.image, way, offsets, 2 * MIB)
    assert mounted.source_bytes() <= 8 * len(places) * MIB


@both_ways
@pytest.mark.parametrize("length", [4096, 300_000, 2 * MIB])
def test_reads_at_random(way: int, length: int, mounted: Mount) -> None:
    """Forty reads anywhere cost at most the blocks that they touch and what was read ahead of each."""
    chance = random.Random(length)
    places = [chance.randrange(SIZE - length) for _ in range(40)]
    read_at(mounted.image, way, places, length)
    assert mounted.source_bytes() <= 8 * len(places) * MIB
