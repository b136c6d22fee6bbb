"""Sparse sources: their holes are zeros for every reader and on every target, and are not read."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory, allocated, assert_copies
from tests.rig.commands import fanoutfs, finish, run
from tests.rig.copies import BLOCK, SMALL, Copies, lines
from tests.rig.images import MIB, assert_same, pattern
from tests.rig.nbd import Export
from tests.rig.readers import Spawn, dd, hold
from tests.rig.recipes import carousel_recipe

TIB = 1 << 40

SIZE = 48 * MIB + 12345
DATA = [(0, MIB + 5), (9 * MIB, 2 * MIB), (30 * MIB + 100, 3 * MIB), (SIZE - 2000, 2000)]
READ = 30 * BLOCK
"""At most so much of it lies in the blocks that these bytes touch."""


def sparse(path: Path, size: int, data: Sequence[tuple[int, int]]) -> Path:
    """Make a file of a pattern with holes."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset, length in data:
            file.seek(offset)
            file.write(pattern(offset + 1, length))
        os.fsync(file.fileno())
    return path


@pytest.fixture
def source(work: Path) -> Path:
    """Make an image that begins and ends with data."""
    return sparse(work / "source", SIZE, DATA)


@pytest.fixture
def backing(work: Path) -> Path:
    """Make the file behind ``device``: junk."""
    path = work / "backing"
    path.write_bytes(os.urandom(SIZE - SIZE % 4096 + 4096))
    return path


def test_a_tebibyte_with_little_data(copies: Copies, work: Path) -> None:
    """With --sparse it is copied in the time that its data takes; going on finds all of it right."""
    data = [(5 * MIB, 3 * MIB), (TIB // 4, 4 * MIB), (TIB - MIB, MIB)]
    source, target = sparse(work / "large", TIB, data), work / "target"
    said = lines(copies.run(source, target, "--sparse"))
    again = lines(copies.run(source, target, "--sparse", "--resume"))

    assert "8 MiB of it data" in said[str(target)]
    assert "nothing was missing" in again[str(target)]
    assert target.stat().st_size == TIB
    assert allocated(target, MIB) <= 10
    with target.open("rb") as file:
        for offset, length in data:
            file.seek(offset - MIB)
            assert file.read(MIB) == bytes(MIB)
            assert file.read(length) == pattern(offset + 1, length)


@pytest.mark.parametrize("begins", [0, 9 * MIB])
def test_every_way_to_read_a_sparse_image(
    begins: int, mount: MountFactory, source: Path, spawn: Spawn, work: Path
) -> None:
    """Cached, direct and a turn; one that is held in the middle, and late ones. The data is read once."""
    mounted = mount(source, "--block", BLOCK, "--ring", "64M")
    held = hold(spawn, mounted.image, work / "held", begins + MIB, direct=True)
    names = [work / name for name in ("cached", "direct", "turn")]
    readers = [
        spawn(*dd(mounted.image, names[0])),
        spawn(*dd(mounted.image, names[1], "bs=1M iflag=direct")),
        spawn("bash", "-c", carousel_recipe(mounted.point, names[2])),
    ]
    for reader in readers:
        finish(reader)
    held.finish()

    assert_copies(source, held.copy, *names)
    status = mounted.status()["source"]
    assert status["bytes_read"] == status["data"] <= READ


@pytest.mark.parametrize("more", [(), ("--sparse", "--verify"), ("--verify", "--resume")])
def test_targets_that_held_something_else(
    more: tuple[str, ...], copies: Copies, source: Path, backing: Path, device: Path, work: Path
) -> None:
    """A file and a disk are zeros in the holes, and a new file has holes or its space."""
    old, new = work / "old", work / "new"
    old.write_bytes(os.urandom(SIZE // 2))
    copies.run(source, device, old, new, *more, *SMALL)

    os.truncate(backing, SIZE)
    assert_copies(source, old, new, backing)
    assert (allocated(new) <= READ // BLOCK + 1) == ("--sparse" in more)


def test_a_late_copy_of_a_sparse_image(copies: Copies, mount: MountFactory, source: Path, work: Path) -> None:
    """It begins in the middle of the data, beside a reader; what it needs is read twice at most."""
    mounted = mount(source, *SMALL)
    run(*dd(mounted.image, work / "part", "bs=1M count=31 iflag=direct"))
    said = copies.run(mounted.point, work / "target", "--verify")

    assert b"joining at" in said.stderr
    assert_same(source, work / "target")
    assert mounted.source_bytes() <= 2 * READ


@pytest.mark.tool("nbdkit", "nbdcopy", "nbdinfo", "qemu-img")
def test_holes_go_through_an_export_and_are_known_in_qcow2(
    copies: Copies, mount: MountFactory, source: Path, work: Path
) -> None:
    """A client asks for the data alone; a copy from it, and one of an image of QEMU's, read no more."""
    export = Export()
    mounted = mount(source, *export.options, *SMALL)
    export.copy(work / "copied")
    fanoutfs("copy", "--verify", *SMALL, export.uri(), work / "far")
    run("qemu-img", "convert", "-O", "qcow2", source, work / "image.qcow2")
    copies.run(work / "image.qcow2", work / "inner", "--sparse", *SMALL)

    assert b"hole,zero" in run("nbdinfo", "--map", export.uri()).stdout
    assert_copies(source, work / "copied", work / "far")
    run("cmp", "-n", SIZE, source, work / "inner")
    assert allocated(work / "inner") <= READ // BLOCK + 2
    assert mounted.source_bytes() <= 2 * READ
