"""`fanoutfs copy` to one and several targets, files and disks, of images of every odd size."""

import os
import random
from pathlib import Path

import pytest

from fanoutfs.units import parse_size
from tests.mount.conftest import LoopFactory, PatternFactory, assert_copies
from tests.rig import loops
from tests.rig.copies import BLOCK, SMALL, Copies, lines
from tests.rig.images import MIB, assert_same

SIZE = 6 * MIB + 777
DEVICE = 6 * MIB
ROOM = DEVICE + 3 * BLOCK
SIZES = {
    "1 byte": (0, 1),
    "1 block": (1, 0),
    "1 block and 1 byte": (1, 1),
    "3.5 blocks": (3.5, 0),
    "no whole sectors": (5, 777),
}
"""Blocks, and bytes more."""


def junk(path: Path, size: int) -> Path:
    """Write what no image here has."""
    path.write_bytes(os.urandom(size))
    return path


@pytest.mark.parametrize(
    ("block", "size"), [*(("4K", size) for size in SIZES), ("1M", "3.5 blocks"), ("1M", "no whole sectors")]
)
def test_an_image_of_an_odd_size(size: str, block: str, copies: Copies, work: Path) -> None:
    """Its copy has its bytes and no others, and the line has its size."""
    source, target = work / "source", work / "target"
    count, more = SIZES[size]
    source.write_bytes(random.Random(7).randbytes(int(count * parse_size(block)) + more))
    done = copies.run(source, target, "--block", block)

    assert source.read_bytes() == target.read_bytes()
    assert 0 != target.read_bytes()[0]
    assert " copied in " in lines(done)[str(target)]
    assert b"" == done.stderr


def test_four_targets_of_one_command(copies: Copies, source: Path, work: Path) -> None:
    """Files that are there and are not: a line for each on stdout, in their order, and nothing else."""
    targets = [work / "new", junk(work / "longer", SIZE + MIB), junk(work / "shorter", MIB), work / "empty"]
    targets[3].touch()
    done = copies.run(source, *targets, *SMALL)

    assert_copies(source, *targets)
    assert [str(target) for target in targets] == list(lines(done))
    assert all(said.startswith("6.001 MiB copied in ") for said in lines(done).values())
    assert b"" == done.stderr
    assert 1 == copies.producers()


def test_disks_and_files_from_a_disk(
    copies: Copies, pattern_image: PatternFactory, loop: LoopFactory, work: Path
) -> None:
    """The kernel says that the source is read once for all; what of a disk is behind the image stays."""
    image = pattern_image(DEVICE)
    backing = [junk(work / f"disk{number}", ROOM) for number in range(2)]
    before = [path.read_bytes() for path in backing]
    source, *disks = loop(image), *map(loop, backing)
    files = [work / "file1", work / "file2"]
    was = loops.bytes_read(source)
    copies.run(source, disks[0], files[0], disks[1], files[1], *SMALL)

    assert DEVICE == loops.bytes_read(source) - was
    assert_copies(image, *files)
    for disk, old in zip(disks, before, strict=True):
        assert image.read_bytes() + old[DEVICE:] == disk.read_bytes()


def test_the_rights_of_a_file(copies: Copies, small: Path, work: Path) -> None:
    """A new file gets those that cp gives it; one that was there keeps its own, and its inode."""
    new, old = work / "new", junk(work / "old", BLOCK)
    old.chmod(0o640)
    inode = old.stat().st_ino
    mask = os.umask(0o027)
    try:
        copies.run(small, new, old)
    finally:
        os.umask(mask)

    assert (0o100640, 0o100640) == (new.stat().st_mode, old.stat().st_mode)
    assert inode == old.stat().st_ino


def test_a_target_that_is_a_link(copies: Copies, small: Path, work: Path) -> None:
    """What the link leads to is written, and the link stays."""
    file, link = junk(work / "file", BLOCK), work / "link"
    link.symlink_to(file)
    copies.run(small, link)

    assert_same(small, file)
    assert link.is_symlink()


def test_names_without_a_folder(
    copies: Copies, small: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Source and target may be named from where one is."""
    os.link(small, work / "here")
    monkeypatch.chdir(work)
    copies.run(Path("here"), Path("there"))

    assert_same(work / "here", work / "there")
