"""Targets on real disks: what is refused, what is not, and what opening them for ourselves keeps away."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanoutfs.checking.check import check
from fanoutfs.checking.claimed import open_exclusive
from fanoutfs.checking.safety import Candidate
from fanoutfs.errors import UnusableError
from tests.rig import mountinfo
from tests.rig.commands import run, wait_until
from tests.rig.copies import Copies
from tests.rig.devices import DISK, FILE_SYSTEM, IMAGE, TOOLS, disk, image, mounted, partitioned
from tests.rig.images import MIB
from tests.rig.loops import attached, nobody_attaches
from tests.rig.unsafe import SITUATIONS

pytestmark = pytest.mark.tool(*TOOLS)


def checked(source: Path, *targets: Path) -> list[Candidate]:
    """Check targets as the command does."""
    with source.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
    return check(str(source), size, [str(target) for target in targets])


@pytest.mark.parametrize("name", SITUATIONS)
def test_an_unsafe_target(name: str, copies: Copies, work: Path) -> None:
    """It is refused with its name, the reason and a remedy; nothing was written, no producer started."""
    with SITUATIONS[name](work) as case:
        before = case.digests()
        done = copies.run(case.source, *case.targets, "--yes", code=case.exit_code)
        said = done.stderr.decode()
        assert re.search(case.message, said, re.MULTILINE), said
        assert all(line.startswith("fanoutfs: ") for line in said.splitlines())
        assert b"" == done.stdout
        assert before == case.digests()
        assert 0 == copies.producers()


def test_a_free_disk(work: Path) -> None:
    """It is a candidate, with its size, and can be had."""
    with disk(work) as device:
        (found,) = checked(image(work), device)
        assert (str(device), "disk", True, DISK) == (found.path, found.kind, found.exists, found.size)
        claimed = open_exclusive(found, direct=True)
        assert (True, False) == (claimed.direct, claimed.made)
        claimed.undo()


def test_the_partition_beside_the_source(work: Path) -> None:
    """Two partitions of one disk are two places: one can be copied to the other."""
    with partitioned(work) as (_, first, second):
        (found,) = checked(first, second)
        assert first.stat().st_rdev != second.stat().st_rdev
        open_exclusive(found, direct=True).close()


def test_a_file_beside_the_source_file(work: Path) -> None:
    """Whether it is there or not."""
    old, new = image(work, "old.img", MIB), work / "new.img"
    found = checked(image(work), old, new)
    assert [(True, MIB), (False, 0)] == [(one.exists, one.size) for one in found]


def test_a_file_beside_a_mounted_source(work: Path) -> None:
    """A mounted partition can be the source of a file elsewhere."""
    with disk(work, size=FILE_SYSTEM) as device, mounted(device, work / "mnt"):
        (found,) = checked(device, work / "new.img")
        assert not found.exists


@contextlib.contextmanager
def free(work: Path) -> Iterator[tuple[Path, Candidate]]:
    with disk(work, size=FILE_SYSTEM) as device:
        (found,) = checked(image(work), device)
        yield device, found


def test_a_disk_that_another_copy_has(work: Path) -> None:
    """The second is refused, and so is a mount; when the first is done it is free."""
    with free(work) as (device, found):
        first = open_exclusive(found, direct=True)
        with pytest.raises(UnusableError, match=f"^the target {device} is in use by the system"):
            open_exclusive(found, direct=True)
        (work / "mnt").mkdir()
        assert 0 != run("mount", device, work / "mnt", code=None).returncode
        assert [] == mountinfo.at(work / "mnt")
        first.close()
        open_exclusive(found, direct=True).close()


def test_a_disk_that_is_mounted_after_the_check(work: Path) -> None:
    """Opening it fails: the kernel has the last word."""
    with (
        free(work) as (device, found),
        mounted(device, work / "mnt"),
        pytest.raises(UnusableError, match=r"is in use by the system \(mounted"),
    ):
        open_exclusive(found, direct=True)


def test_another_disk_under_the_same_number(work: Path) -> None:
    """A stick that was put in for the one that was checked is not written."""
    other = image(work, "other.img", FILE_SYSTEM)
    with free(work) as (device, found):
        with nobody_attaches():
            run("losetup", "--detach", device)
            wait_until(lambda: not Path("/sys/block", device.name, "loop").exists(), f"{device} is free")
            run("losetup", device, other)
        with pytest.raises(UnusableError, match=f"^the target {device} was replaced after it was checked"):
            open_exclusive(found, direct=True)


def test_a_file_system_with_o_direct(work: Path) -> None:
    """O_DIRECT is taken where it can be had."""
    with disk(work, size=FILE_SYSTEM) as device, mounted(device, work / "mnt") as point:
        (found,) = checked(image(work), point / "new.img")
        claimed = open_exclusive(found, direct=True)
        claimed.undo()
        assert claimed.direct


def test_a_file_system_without_o_direct(work: Path) -> None:
    """The file is opened without, and that is told; it can be written at any place."""
    point = work / "mnt"
    point.mkdir()
    run("mount", "-t", "ramfs", "ramfs", point)
    try:
        (found,) = checked(image(work), point / "new.img")
        claimed = open_exclusive(found, direct=True)
        assert 3 == os.pwrite(claimed.fd, b"odd", 1)
        claimed.close()
        assert not claimed.direct
        assert b"\0odd" == (point / "new.img").read_bytes()
    finally:
        run("umount", point)


def test_a_loop_device_that_is_detached_frees_its_file(work: Path) -> None:
    """What was refused is taken once it is free."""
    file, source = image(work, "file.img", IMAGE), image(work)
    with attached(file), pytest.raises(UnusableError, match="in use"):
        checked(source, file)
    (found,) = checked(source, file)
    assert found.exists
