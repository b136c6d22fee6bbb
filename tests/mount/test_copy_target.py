"""A copy's target on real disks (loop devices: sectors, discards, bad places) and a full file system."""

import os
from pathlib import Path

import pytest

from fanoutfs.digests.digest import digest
from fanoutfs.errors import TargetError
from fanoutfs.layout import Layout
from fanoutfs.targets.verify import verify
from fanoutfs.units import PAGE
from tests.adapter.copies import BLOCK, blocks, copied, copy, in_ring, open_target
from tests.mount.conftest import allocated, flip
from tests.rig.loops import bytes_written

SIZE = 4 * BLOCK + 512
"""Of the image: whole sectors, but no whole number of pages."""

DISK = 16 * BLOCK
"""Bytes of the disk."""

ROOM = SIZE // 2 // PAGE * PAGE
"""Bytes of the file system that is too small for the image."""


@pytest.fixture
def backing(work: Path) -> Path:
    """Make the file behind a loop device, full of junk."""
    path = work / "backing"
    path.write_bytes(os.urandom(DISK))
    return path


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("size", [SIZE, SIZE - 100, 512, 100])
def test_only_the_image_s_bytes_of_a_disk_change(
    backing: Path, device: Path, size: int, resume: bool, sparse: bool, direct: bool
) -> None:
    """What lies behind the image stays, though its last sector or page is not whole."""
    old = backing.read_bytes()
    image = os.urandom(size // 2) + bytes(size - size // 2)
    how = {"direct": direct, "sparse": sparse, "resume": resume}
    copied(device, in_ring(image), start=size // BLOCK // 2, runs=[2], **how)

    assert image + old[size:] == device.read_bytes()


def test_a_discard_gives_the_room_back(backing: Path, device: Path) -> None:
    """A loop device discards by a hole in its file: what is zeros in the image takes none there."""
    before = allocated(backing, BLOCK)
    image = os.urandom(BLOCK) + bytes(SIZE - BLOCK)
    made = copied(device, in_ring(image), direct=True, sparse=True, runs=[4])

    assert image == device.read_bytes()[:SIZE]
    assert before - 3 == allocated(backing, BLOCK)
    assert BLOCK + 512 == made.written


def test_a_resumed_copy_writes_what_differs_only(backing: Path, device: Path) -> None:
    """By the kernel's count: one block, the page that block 0's zeros take, and block 0."""
    image = in_ring(os.urandom(4 * BLOCK))
    copied(device, image, direct=True)
    flip(device, 2 * BLOCK + 77)
    before = bytes_written(device)

    again = copied(device, image, direct=True, runs=[4], resume=True)

    assert image == device.read_bytes()[: len(image)]
    assert 2 * BLOCK == again.written
    assert 3 * BLOCK == bytes_written(device) - before


@pytest.mark.parametrize("direct", [False, True])
def test_read_back_is_what_the_disk_has(backing: Path, device: Path, direct: bool) -> None:
    """Not what the page cache has: a bit flipped on the disk is seen, though the old byte is cached."""
    image = in_ring(os.urandom(4 * BLOCK))
    digests = b"".join(digest(block) for block in blocks(image, 0, 4))
    made = open_target(device, len(image))
    copy(made, image, resume=False)
    device.read_bytes()
    flip(backing, 2 * BLOCK + 77)
    cached = device.read_bytes()[2 * BLOCK + 77]
    made._io._reads_direct = direct

    found = verify(made, digests, Layout.whole(len(image), BLOCK), lambda _: None)
    different = made.differing(BLOCK, blocks(image, 1, 4))
    made.close()

    assert image[2 * BLOCK + 77] == cached
    assert ((2 * BLOCK, BLOCK),) == found.differences
    assert [1] == different


def test_what_a_disk_cant_give_back_is_written_anew(backing: Path, device: Path) -> None:
    """Bad places count as different with --resume; verifying names the first of them."""
    image = in_ring(os.urandom(4 * BLOCK))
    made = open_target(device, len(image), direct=True)
    copy(made, image, resume=False)
    os.truncate(backing, 2 * BLOCK)  # the loop device keeps its size, and fails there

    with pytest.raises(TargetError, match=f"{device} can't be read back at byte {2 * BLOCK}: input/output"):
        verify(made, bytes(4 * 16), Layout.whole(len(image), BLOCK), lambda _: None)
    copy(made, image, runs=[3], resume=True)
    made.close()

    assert 4 * BLOCK + 3 * BLOCK == made.written
    assert image == backing.read_bytes()


def test_a_file_system_without_room_is_known_at_once(full: Path) -> None:
    """Before a byte is copied, and what was taken of it is given back."""
    made = open_target(full / "copy", SIZE)
    with pytest.raises(TargetError, match=f"{full}/copy can't be given its {SIZE} bytes: no space left"):
        made.prepare(keep=False)
    made.close()

    assert 0 == (full / "copy").stat().st_blocks


@pytest.mark.parametrize("direct", [False, True])
def test_a_sparse_copy_that_finds_no_room_names_the_place(full: Path, direct: bool) -> None:
    """It fits as long as there is room; the first byte that does not is named."""
    made = open_target(full / "copy", SIZE, sparse=True, direct=direct)
    with pytest.raises(
        TargetError, match=f"written at byte {2 * BLOCK + BLOCK}: no space left .*; make room"
    ):
        copy(made, in_ring(os.urandom(SIZE)), runs=[4], resume=False)
    made.close()

    assert bytes(BLOCK) == (full / "copy").read_bytes()[:BLOCK]
