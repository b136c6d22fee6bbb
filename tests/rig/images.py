"""Source images whose every 8 bytes are their own offset, as nbdkit's pattern plugin makes them.

So a byte at a wrong place says where it came from.
"""

import sys
from array import array
from pathlib import Path

import pytest

WORD = 8
CHUNK = 1 << 20
SECTOR = 512
MIB = 1 << 20


def pattern(offset: int, length: int) -> bytes:
    """Return the bytes that stand at `offset` in a pattern image."""
    first = offset // WORD * WORD
    words = array("Q", range(first, offset + length, WORD))
    if sys.byteorder == "little":
        words.byteswap()
    return words.tobytes()[offset - first :][:length]


def write_pattern(path: Path, size: int) -> Path:
    """Write a pattern image of `size` bytes."""
    with path.open("wb") as image:
        for offset in range(0, size, CHUNK):
            image.write(pattern(offset, min(CHUNK, size - offset)))
    return path


def turned(size: int, start: int) -> bytes:
    """Return a pattern image of `size` bytes as a turn from `start` gives it."""
    return pattern(start, size - start) + pattern(0, start)


def check_pattern(data: bytes, offset: int) -> None:
    """Fail when `data` is not what stands at `offset` in a pattern image, naming the first wrong byte."""
    expected = pattern(offset, len(data))
    if expected != data:
        at = next(i for i, (right, wrong) in enumerate(zip(expected, data, strict=True)) if right != wrong)
        word = at - (offset + at) % WORD
        came_from = int.from_bytes(data[max(word, 0) : max(word, 0) + WORD])
        pytest.fail(f"at {offset + at} stands what belongs at {came_from}")


def assert_same(expected: Path, actual: Path) -> None:
    """Fail when two files differ, naming the first place."""
    assert expected.stat().st_size == actual.stat().st_size
    with expected.open("rb") as right, actual.open("rb") as copy:
        for offset in range(0, expected.stat().st_size, CHUNK):
            want, have = right.read(CHUNK), copy.read(CHUNK)
            if want != have:
                at = next(i for i, (a, b) in enumerate(zip(want, have, strict=True)) if a != b)
                word = at // WORD * WORD
                pytest.fail(
                    f"{actual} differs at {offset + at}: {want[word : word + WORD].hex()} there, "
                    f"{have[word : word + WORD].hex()} here (of a pattern, the offset that it came from)"
                )
