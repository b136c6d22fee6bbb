"""Disks, partitions, file systems, swap and served mounts on loop devices, for tests of unsafe targets."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tests.rig import mountinfo
from tests.rig.commands import fanoutfs, run, shell, wait_until
from tests.rig.images import MIB, write_pattern
from tests.rig.loops import attached

IMAGE = 4 * MIB
DISK = 16 * MIB
FILE_SYSTEM = 32 * MIB
SWAP = 64 * 1024
"""The first page is the header; the kernel requires ten pages at least."""

TOOLS = ("losetup", "partx", "sfdisk", "mkfs.ext4", "mkswap", "swapon", "mount")
TABLE = 'printf "size=$1MiB\\nsize=$1MiB\\n" | sfdisk --quiet --wipe=never "$2"'


def image(folder: Path, name: str = "source.img", size: int = IMAGE) -> Path:
    """Write a file with a pattern."""
    return write_pattern(folder / name, size)


@contextlib.contextmanager
def disk(folder: Path, name: str = "disk.img", size: int = DISK, *options: str) -> Iterator[Path]:
    """Attach a file as a disk."""
    with attached(image(folder, name, size), *options) as device:
        yield device


@contextlib.contextmanager
def partitioned(folder: Path, name: str = "disk.img", size: int = DISK) -> Iterator[tuple[Path, Path, Path]]:
    """Attach a disk with two partitions; return the three devices.

    partx registers the partitions, because the kernel may not support partition tables. Without udev, the
    device nodes are made here.
    """
    path = image(folder, name, size)
    shell(TABLE, size // 2 // MIB - 1, path)
    with attached(path) as device:
        run("partx", "--add", device)
        made = []
        try:
            nodes = [Path(f"{device}p{number}") for number in (1, 2)]
            for node in nodes:
                with contextlib.suppress(FileExistsError):
                    major, _, minor = Path("/sys/class/block", node.name, "dev").read_text().partition(":")
                    os.mknod(node, 0o600 | 0o060000, os.makedev(int(major), int(minor)))
                    made.append(node)
            yield device, nodes[0], nodes[1]
        finally:
            run("partx", "--delete", device)
            for node in made:
                node.unlink(missing_ok=True)


@contextlib.contextmanager
def mounted(device: Path, point: Path, *options: str) -> Iterator[Path]:
    """Make a file system on a disk and mount it."""
    point.mkdir()
    run("mkfs.ext4", "-q", "-F", device)
    run("mount", *options, device, point)
    try:
        yield point
    finally:
        run("umount", point)


@contextlib.contextmanager
def swapping(area: Path) -> Iterator[None]:
    """Use a disk or a file as swap."""
    run("mkswap", "--force", area, SWAP // 1024)
    run("swapon", area)
    try:
        yield
    finally:
        run("swapoff", area)


@contextlib.contextmanager
def served(source: Path, point: Path) -> Iterator[Path]:
    """Mount a source with fanoutfs."""
    point.mkdir()
    fanoutfs("mount", "--ring", "2M", "--log", point.with_suffix(".log"), source, point)
    try:
        yield point
    finally:
        run("umount", "--lazy", point)
        wait_until(lambda: mountinfo.at(point) == [], f"{point} is unmounted")
