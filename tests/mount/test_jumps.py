"""Readers that jump about: served at once, and what they jump over is not read."""

import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory, PatternFactory
from tests.mount.support.commands import Process, finish
from tests.mount.support.images import MIB, assert_same, check_pattern
from tests.mount.support.mounts import Mount

pytestmark = pytest.mark.mount

SIZE = 24 * MIB
BLOCKS = SIZE // MIB
Spawn = Callable[..., Process]
AT_ONCE = 1.0  # seconds; below --turn (2 s), which is for readers that go straight on
both_ways = pytest.mark.parametrize("way", [0, os.O_DIRECT], ids=["cached", "direct"])


@pytest.fixture
def mounted(mount: MountFactory, pattern_image: PatternFactory) -> Mount:
    """Mount a pattern image of 24 MiB with a ring of four blocks."""
    return mount(pattern_image(SIZE), "--ring", "4M", "--block", "1M")


def slowest(image: Path, way: int, places: Sequence[int], length: int) -> float:
    """Read at each place through one handle; return the longest time that a read took, in seconds."""
    times = []
    handle = os.open(image, os.O_RDONLY | way)
    try:
        for place in places:
            began = time.monotonic()
            data = os.pread(handle, length, place)
            times.append(time.monotonic() - began)
            assert min(length, SIZE - place) == len(data)
            check_pattern(data, place)
    finally:
        os.close(handle)
    return max(times)


@both_ways
@pytest.mark.parametrize("places", [(0, 16), (0, 1, 2, 16), (2, 0, 16), (16, 0), (0, 1, 16, 17, 4, 5)])
def test_a_jump_after_reading_straight_on(way: int, places: Sequence[int], mounted: Mount) -> None:
    """A read of two blocks after a jump is answered at once, and costs a few blocks."""
    offsets = [place * MIB + MIB // 2 for place in places]
    assert slowest(mounted.image, way, offsets, 2 * MIB) < AT_ONCE
    assert mounted.source_bytes() <= 8 * len(places) * MIB


@both_ways
@pytest.mark.parametrize("length", [4096, 300_000, 2 * MIB])
def test_reads_at_random(way: int, length: int, mounted: Mount) -> None:
    """Forty reads anywhere cost at most the blocks that they touch and what was read ahead of each."""
    chance = random.Random(length)
    places = [chance.randrange(SIZE - length) for _ in range(40)]
    assert slowest(mounted.image, way, places, length) < AT_ONCE
    assert mounted.source_bytes() <= 8 * len(places) * MIB


@both_ways
@pytest.mark.parametrize("begins", [2 * MIB, 0], ids=["after a start in order", "from the first"])
def test_a_reader_that_jumps_about_for_ever_paces_nobody(
    way: int, begins: int, mounted: Mount, spawn: Spawn, work: Path
) -> None:
    """A reader that goes on jumping ahead of where it once read straight on does not hold a `dd`."""
    chance, over = random.Random(begins), threading.Event()

    def jump_about() -> int:
        reads = 0
        handle = os.open(mounted.image, os.O_RDONLY | way)
        try:
            for place in range(0, begins, MIB // 2):
                check_pattern(os.pread(handle, MIB // 2, place), place)
            while not over.wait(0.02):
                place = chance.randrange(4 * MIB, 14 * MIB)
                check_pattern(os.pread(handle, 4096, place), place)
                reads += 1
        finally:
            os.close(handle)
        return reads

    with ThreadPoolExecutor(1) as pool:
        jumping = pool.submit(jump_about)
        try:
            copying = spawn("dd", f"if={mounted.image}", f"of={work / 'copy'}", "bs=1M", "iflag=direct")
            finish(copying, timeout=20)
        finally:
            over.set()
        assert jumping.result() > 0
    assert_same(mounted.source, work / "copy")
