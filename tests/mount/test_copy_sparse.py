"""`copy --sparse`: blocks of zeros take no room, and are zeros whatever was there before."""

import os
from pathlib import Path

import pytest

from tests.mount.conftest import allocated, assert_copies
from tests.rig.copies import BLOCK, SMALL, Copies, lines
from tests.rig.images import MIB, assert_same, pattern

SIZE = 8 * MIB
DATA = 3
"""Blocks that are not zeros: block 0, one in the middle and the last."""


@pytest.fixture
def source(work: Path) -> Path:
    """Make an image that is nearly all zeros, without a hole."""
    path = work / "source"
    content = bytearray(SIZE)
    for offset in (0, SIZE // 2, SIZE - BLOCK):
        content[offset : offset + BLOCK] = pattern(offset + 1, BLOCK)
    path.write_bytes(content)
    return path


def test_a_new_file(copies: Copies, source: Path, work: Path) -> None:
    """It has holes; without --sparse it is preallocated, so that no room can be missing later."""
    sparse, whole = work / "sparse", work / "whole"
    copies.run(source, sparse, "--sparse", *SMALL)
    copies.run(source, whole, *SMALL)

    assert DATA == allocated(sparse)
    assert SIZE // BLOCK == allocated(whole)
    assert_copies(source, sparse, whole)


def test_what_had_data(copies: Copies, source: Path, backing: Path, device: Path, work: Path) -> None:
    """Holes are made in a file, and a disk that can discards; both are right, also for --verify."""
    file = work / "file"
    file.write_bytes(os.urandom(SIZE + MIB))
    said = lines(copies.run(source, file, device, "--sparse", "--verify", *SMALL))

    assert all("sha256" in words for words in said.values())
    assert [DATA, DATA] == [allocated(file), allocated(backing)]
    assert_copies(source, file, backing)


def test_a_sparse_copy_resumed(copies: Copies, source: Path, work: Path) -> None:
    """A half-written one with junk in the middle is finished, and its holes stay or are made."""
    target = work / "target"
    copies.run(source, target, "--sparse", *SMALL)
    with target.open("r+b") as file:
        file.seek(2 * BLOCK)
        file.write(os.urandom(BLOCK))
    copies.run(source, target, "--sparse", "--resume", *SMALL)

    assert DATA == allocated(target)
    assert_same(source, target)
