"""Source images whose every 8 bytes are their own offset, as nbdkit's pattern plugin makes them.

A misplaced byte therefore tells where it came from.
"""

import sys
from array import array
from pathlib import Path

WORD = 8
CHUNK = 1 << 20
SECTOR = 512
MIB = 1 << 20


def pattern(offset: int, length: int) -> bytes:
    """Return the bytes at `offset` of a pattern image."""
    first = offset // WORD * WORD
    words = array("Q", range(first, offset + length, WORD))
    if sys.byteorder == "little":
        words.byteswap()
    return words.tobytes()[offset - first :][:length]


def write_pattern(path: Path, size: int) -> Path:
    """Write a pattern image of `size` bytes."""
    first = int.from_bytes(pattern(0, CHUNK))
    ones = int.from_bytes((1).to_bytes(WORD) * (CHUNK // WORD))
    with path.open("wb") as image:
        for offset in range(0, size, CHUNK):  # much faster than pattern(), for images of GiBs
            image.write((first + ones * offset).to_bytes(CHUNK)[: size - offset])
    return path


def turned(size: int, start: int) -> bytes:
    """Return a pattern image of `size` bytes as a reader sees it that starts at `start` and wraps round."""
    return pattern(start, size - start) + pattern(0, start)


def check_pattern(data: bytes, offset: int) -> None:
    """Raise AssertionError if `data` is not a pattern image's at `offset`; name the first wrong byte."""
    expected = pattern(offset, len(data))
    if expected != data:
        at = next(i for i, (right, wrong) in enumerate(zip(expected, data, strict=True)) if right != wrong)
        word = at - (offset + at) % WORD
        came_from = int.from_bytes(data[max(word, 0) : max(word, 0) + WORD])
        raise AssertionError(f"at {offset + at}: bytes that belong at {came_from}")


def assert_same(expected: Path, actual: Path) -> None:
    """Raise AssertionError if two files differ; name the first difference."""
    assert expected.stat().st_size == actual.stat().st_size
    with expected.open("rb") as right, actual.open("rb") as copy:
        for offset in range(0, expected.stat().st_size, CHUNK):
            want, have = right.read(CHUNK), copy.read(CHUNK)
            if want != have:
                at = next(i for i, (a, b) in enumerate(zip(want, have, strict=True)) if a != b)
                word = at // WORD * WORD
                raise AssertionError(
                    f"{actual} differs at {offset + at}: {have[word : word + WORD].hex()}, expected "
                    f"{want[word : word + WORD].hex()} (in a pattern, the offset where the bytes belong)"
                )
