"""The system calls that read, each against the pattern: any size, place, order, alignment and concurrency."""

import hashlib
import mmap
import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory, opened
from tests.rig.commands import run
from tests.rig.images import MIB, check_pattern, pattern

SIZE = 12 * MIB + 1234
PAGE = 4096
both_ways = pytest.mark.parametrize("way", [0, os.O_DIRECT], ids=["cached", "direct"])

SUM_BACKWARDS = """
import hashlib, mmap, sys
with open(sys.argv[1], "rb") as image:
    memory = mmap.mmap(image.fileno(), 0, access=mmap.ACCESS_READ)
    pages = [memory[start : start + 65536] for start in reversed(range(0, len(memory), 65536))]
print(hashlib.sha256(b"".join(reversed(pages))).hexdigest())
"""
SUM_FORWARDS = """
import hashlib, mmap, sys
with open(sys.argv[1], "rb") as image:
    print(hashlib.sha256(mmap.mmap(image.fileno(), 0, access=mmap.ACCESS_READ)).hexdigest())
"""


@pytest.fixture
def image(shared: MountFactory, source: Path) -> Path:
    """Mount a pattern image of 12 MiB and a bit, with a ring of 4 MiB."""
    return shared(source).image


@both_ways
def test_one_read_of_the_whole_image(image: Path, way: int) -> None:
    """One read() of everything returns everything: no short read."""
    with opened(image, way) as descriptor:
        data = os.read(descriptor, SIZE + PAGE)
    assert SIZE == len(data)
    check_pattern(data, 0)


@both_ways
@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [
        (SIZE - 1, 1, 1),
        (SIZE - 1, PAGE, 1),
        (SIZE - 4000, MIB, 4000),
        (SIZE, 1, 0),
        (SIZE, MIB, 0),
        (SIZE + 1, MIB, 0),
        (SIZE + 100 * MIB, 4096, 0),
        (2**62, 4096, 0),
        (0, 0, 0),
        (MIB - 1, 2, 2),
        (MIB - 1, 5 * MIB + 2, 5 * MIB + 2),
        (3 * MIB + 17, 1, 1),
    ],
)
def test_reads_at_edges(image: Path, way: int, offset: int, length: int, expected: int) -> None:
    """A read at, across or past the end gives what is there and then nothing; one across blocks is whole."""
    with opened(image, way) as descriptor:
        data = os.pread(descriptor, length, offset)
    assert expected == len(data)
    check_pattern(data, offset)


@both_ways
def test_random_reads_of_many_threads_on_one_handle(image: Path, way: int) -> None:
    """Eight threads that read anywhere through one descriptor each get the bytes of their place."""

    def read_about(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(60):
            offset = chance.randrange(SIZE)
            length = chance.choice([1, 512, 4096, 65536, 300_001, 2 * MIB])
            data = os.pread(descriptor, length, offset)
            assert min(length, SIZE - offset) == len(data)
            check_pattern(data, offset)

    with opened(image, way) as descriptor, ThreadPoolExecutor(8) as pool:
        list(pool.map(read_about, range(8)))


@both_ways
def test_the_image_backwards(image: Path, way: int) -> None:
    """A reader that goes from the end to the beginning gets every piece right."""
    step = 300_000
    with opened(image, way) as descriptor:
        for offset in reversed(range(0, SIZE, step)):
            data = os.pread(descriptor, step, offset)
            assert min(step, SIZE - offset) == len(data)
            check_pattern(data, offset)


@pytest.mark.parametrize("shift", [1, 16, 512, 4095])
def test_a_direct_read_into_an_unaligned_buffer(image: Path, shift: int) -> None:
    """O_DIRECT into memory that is not aligned to a page is right: the kernel splits such a read."""
    length = 3 * MIB + 5
    with mmap.mmap(-1, length + PAGE) as memory, opened(image, os.O_DIRECT) as descriptor:
        with memoryview(memory) as whole, whole[shift : shift + length] as part:
            assert length == os.preadv(descriptor, [part], PAGE + 3)
        check_pattern(memory[shift : shift + length], PAGE + 3)


@both_ways
def test_a_read_into_many_small_buffers(image: Path, way: int) -> None:
    """preadv() into a thousand pieces fills each in turn."""
    pieces = [bytearray(1001) for _ in range(1000)]
    with opened(image, way) as descriptor:
        assert 1_001_000 == os.preadv(descriptor, pieces, 77)
    check_pattern(b"".join(pieces), 77)


@pytest.mark.parametrize("script", [SUM_FORWARDS, SUM_BACKWARDS], ids=["forwards", "backwards"])
def test_memory_mapped(image: Path, script: str) -> None:
    """A program that maps the image into memory sees the source."""
    expected = hashlib.sha256(pattern(0, SIZE)).hexdigest()
    assert expected == run(sys.executable, "-SEc", script, image).stdout.decode().strip()


def test_sendfile(image: Path, work: Path) -> None:
    """sendfile() hands over the whole image."""
    with opened(image) as descriptor, (work / "copy").open("wb") as copy:
        offset = 0
        while sent := os.sendfile(copy.fileno(), descriptor, offset, 16 * MIB):
            offset += sent
    assert SIZE == offset
    check_pattern((work / "copy").read_bytes(), 0)


@both_ways
def test_splice_into_a_pipe(image: Path, way: int) -> None:
    """splice() through a pipe, which uses the page cache whatever the handle is, is right."""
    pieces = []
    reading, writing = os.pipe()
    with opened(image, way) as descriptor:
        while moved := os.splice(descriptor, writing, 64 * 1024):
            pieces.append(os.read(reading, moved))
    os.close(reading)
    os.close(writing)
    data = b"".join(pieces)
    assert SIZE == len(data)
    check_pattern(data, 0)


def test_a_duplicated_descriptor_closed_early(image: Path) -> None:
    """Closing one of two duplicates, as a shell does, does not end the reader."""
    with opened(image) as descriptor:
        check_pattern(os.read(descriptor, MIB), 0)
        os.close(os.dup(descriptor))
        check_pattern(os.read(descriptor, MIB), MIB)


def test_seeking(image: Path) -> None:
    """The end is the size, all of it is data, and a seek moves the next read."""
    with opened(image) as descriptor:
        assert SIZE == os.lseek(descriptor, 0, os.SEEK_END)
        assert 0 == os.lseek(descriptor, 0, os.SEEK_DATA)
        assert SIZE == os.lseek(descriptor, 0, os.SEEK_HOLE)
        assert SIZE - 5 == os.lseek(descriptor, -5, os.SEEK_END)
        assert pattern(SIZE - 5, 5) == os.read(descriptor, 100)


def test_the_end_alone(image: Path) -> None:
    """`tail -c` and `wc -c`, which begin near the end, give the source's bytes and size."""
    assert pattern(SIZE - 777, 777) == run("tail", "-c", 777, image).stdout
    assert f"{SIZE} {image}\n" == run("wc", "-c", image).stdout.decode()
