"""`--only`: what file systems use, or a map lists, is copied, and nothing else."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.conftest import LoopFactory, MountFactory, flip
from tests.rig.commands import run, wait_until
from tests.rig.copies import BLOCK, SMALL, Copies, lines
from tests.rig.images import MIB, check_pattern, write_pattern
from tests.rig.loops import bytes_read
from tests.rig.partitioned import TOOLS, PartitionedDisk, check_partitions, make_partitioned

SIZE = 16 * MIB

JUNK = b"\xa5" * 4096

HOLDS = """
import os, sys, time
from fanoutfs.system.loop_device import read_only_loop
with read_only_loop(os.open(sys.argv[1], os.O_RDONLY), 4096, 8192) as path:
    print(path, flush=True)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def partitioned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PartitionedDisk]:
    """Make a disk with file systems; tests only read it."""
    folder = tmp_path_factory.mktemp("partitioned")
    yield make_partitioned(folder)
    run("rm", "-rf", folder)


def junk(path: Path, size: int) -> Path:
    """Write a target that holds something: what is left alone is seen."""
    path.write_bytes(JUNK * (size // len(JUNK)))
    return path


def left(path: Path, page: bytes) -> int:
    """Count the pages of a target that hold this."""
    with path.open("rb") as file:
        return sum(page == piece for piece in iter(lambda: file.read(len(page)), b""))


@pytest.mark.tool(*TOOLS)
def test_what_file_systems_use(
    copies: Copies, partitioned: PartitionedDisk, loop: LoopFactory, work: Path
) -> None:
    """File systems and their files are right on each target; the rest is neither read nor written."""
    source = loop(partitioned.path)
    behind = [junk(work / name, partitioned.size) for name in ("a", "b")]
    targets = [loop(behind[0]), behind[1]]
    before = bytes_read(source)
    done = copies.run(source, *targets, "--only", "used", "--verify", "--ring", "2M")

    assert partitioned.size / 2 > bytes_read(source) - before
    for target, path in zip(targets, behind, strict=True):
        check_partitions(partitioned, path, work)
        assert partitioned.size / 2 < left(path, JUNK) * len(JUNK)
        assert " MiB of 76 MiB copied" in lines(done)[str(target)]
    assert b"p4 is copied whole: it holds no file system that is known" in done.stderr


@pytest.mark.tool(*TOOLS)
def test_the_rest_becomes_zeros_on_request(
    copies: Copies, partitioned: PartitionedDisk, loop: LoopFactory, work: Path
) -> None:
    """With --only-zero-rest nothing is left of what a target held before."""
    path = junk(work / "target", partitioned.size)
    copies.run(partitioned.path, loop(path), "--only", "used", "--only-zero-rest")

    check_partitions(partitioned, path, work)
    assert left(path, JUNK) == 0


@pytest.mark.tool(*TOOLS)
def test_a_file_system_that_was_not_unmounted_is_copied_whole(copies: Copies, work: Path) -> None:
    """Its list of free blocks is old; one that is mounted is refused."""
    image, target = work / "image", junk(work / "target", SIZE)
    image.write_bytes(bytes(SIZE))
    run("mkfs.ext4", "-q", image)
    run("debugfs", "-w", "-R", "feature needs_recovery", image)
    done = copies.run(image, target, "--only", "used", *SMALL)

    assert b"(ext4) is copied whole, 16 MiB: it was not unmounted" in done.stderr
    assert left(target, JUNK) == 0


@pytest.mark.tool(*TOOLS)
def test_a_file_system_that_is_mounted_is_refused(copies: Copies, work: Path, loop: LoopFactory) -> None:
    """What it uses changes all the time; nothing is written."""
    image, target, point = work / "image", junk(work / "target", SIZE), work / "point"
    image.write_bytes(bytes(SIZE))
    point.mkdir()
    run("mkfs.ext4", "-q", image)
    run("mount", loop(image), point)
    try:
        done = copies.run(image, target, "--only", "used", *SMALL, code=1)
    finally:
        run("umount", point)

    said = f"is mounted read-write on {point}; unmount it, mount it read-only, or copy it without --only used"
    assert said.encode() in done.stderr
    assert left(target, JUNK) == SIZE // len(JUNK)


def bmap(image: Path, *ranges: tuple[int, int]) -> Path:
    """Write the block map of an image, of ranges of pages: the first, and one past the last."""
    data = image.read_bytes()
    listed = "".join(
        f'<Range chksum="{hashlib.sha256(data[first * 4096 : end * 4096]).hexdigest()}">'
        f" {first}-{end - 1} </Range>"
        for first, end in ranges
    )
    mapped = sum(end - first for first, end in ranges)
    text = f"""<bmap version="2.0"><ImageSize>{len(data)}</ImageSize><BlockSize>4096</BlockSize>
<BlocksCount>{len(data) // 4096}</BlocksCount><MappedBlocksCount>{mapped}</MappedBlocksCount>
<ChecksumType>sha256</ChecksumType><BmapFileChecksum>{"0" * 64}</BmapFileChecksum>
<BlockMap>{listed}</BlockMap></bmap>"""
    path = image.with_suffix(".bmap")
    path.write_text(text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest()))
    return path


def test_ranges_of_a_block_map_are_checked(copies: Copies, work: Path) -> None:
    """With a wrong byte in one of them no target gets its first block."""
    source, target = write_pattern(work / "image", SIZE), junk(work / "target", SIZE)
    end = source.stat().st_size // 4096
    ranges = bmap(source, (0, 100), (300, 500), (end - 3, end))
    copies.run(source, target, "--only", ranges, "--block", "64K", "--ring", "512K")

    copied = target.read_bytes()
    for first, stop in ((0, 100), (300, 500), (end - 3, end)):
        check_pattern(copied[first * 4096 : stop * 4096], first * 4096)
    assert left(target, JUNK) > 100

    copies.expected.append("the source can't be read")
    flip(source, 310 * 4096)
    done = copies.run(source, target, "--only", ranges, "--block", "64K", "--ring", "512K", code=1)
    said = "bytes 1228800 to before 2048000 do not have the sha256 checksum that the map lists"
    assert said in lines(done)[str(target)]
    assert not any(target.read_bytes()[:4096])


def test_a_mount_shows_zeros_where_nothing_is_read(mount: MountFactory, small: Path, work: Path) -> None:
    """A domain map of ddrescue lists one place; all else is zeros, and the status tells how much is read."""
    domain = work / "map"
    domain.write_text(f"0x0 ?\n0x0 {BLOCK} ?\n{BLOCK} {BLOCK} +\n{2 * BLOCK} {BLOCK} ?\n")
    mounted = mount(small, "--only", domain, "--block", BLOCK)
    content = mounted.image.read_bytes()

    assert len(content) == small.stat().st_size
    assert not any(content[:BLOCK] + content[2 * BLOCK :])
    check_pattern(content[BLOCK : 2 * BLOCK], BLOCK)
    assert mounted.status()["source"]["data"] == BLOCK


def test_a_copy_of_all_does_not_join_one_of_a_part(
    mount: MountFactory, copies: Copies, small: Path, work: Path
) -> None:
    """Nor the reverse: either is told, and nothing is written; a mount that is named is copied as it is."""
    domain, target = work / "map", junk(work / "target", small.stat().st_size)
    domain.write_text(f"0x0 ?\n0x0 {BLOCK} +\n")
    mounted = mount(small, "--only", domain, "--block", BLOCK)
    refused = copies.run(small, target, code=1)
    joined = copies.run(small, target, "--only", domain)
    named = copies.run(mounted.image, target)
    planned = copies.run(small, target, "--dry-run", "--only", domain)

    assert f"only a part would be copied: --only {domain}".encode() in planned.stdout
    assert f"a part of it alone (--only {domain}); wait until".encode() in refused.stderr
    assert all(f"{BLOCK // 1024} KiB of" in done.stdout.decode() for done in (joined, named))
    assert left(target, JUNK) == (small.stat().st_size - BLOCK) // len(JUNK)


def test_a_loop_device_ends_with_its_process(work: Path) -> None:
    """It shows a part of a file, can't be written, and is gone after SIGKILL."""
    path = work / "file"
    path.write_bytes(os.urandom(5 * 4096))
    with subprocess.Popen([sys.executable, "-c", HOLDS, path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        try:
            device = Path(holder.stdout.readline().strip())
            shown = device.read_bytes()
            only_read = run("blockdev", "--getro", device).stdout
        finally:
            holder.send_signal(signal.SIGKILL)
    backing = Path("/sys/block", device.name, "loop", "backing_file")

    assert only_read == b"1\n"
    assert shown == path.read_bytes()[4096 : 3 * 4096]
    wait_until(lambda: not backing.exists() or str(path) not in backing.read_text(), f"{device} is free")
