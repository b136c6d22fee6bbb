"""A small disk with file systems of several kinds, each with one file, and a partition without any."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from tests.rig.commands import Argument, run, shell
from tests.rig.images import MIB, SECTOR

FILE = 3 * MIB
"""Bytes of the file in each file system."""


@attrs.frozen
class FormattedPart:
    """A kind of file system: how it is made and checked, and its file read, without a mount."""

    kind: str
    size: int
    make: Callable[[Path, Path], Sequence[Sequence[Argument]]]
    """Return the commands that make it of a file, with the file that goes into it."""
    check: Sequence[str]
    """The part follows."""
    read: Callable[[Path], Sequence[Argument]]
    """Return the command that prints its file."""


PARTS = (
    FormattedPart(
        "ext4",
        24 * MIB,
        lambda part, file: [["mkfs.ext4", "-q", "-d", file.parent, part]],
        ["e2fsck", "-f", "-n"],
        lambda part: ["debugfs", "-R", "cat file", part],
    ),
    FormattedPart(
        "ntfs",
        24 * MIB,
        lambda part, file: [
            ["mkfs.ntfs", "--force", "--fast", "--quiet", part],
            ["ntfscp", "--quiet", "--force", part, file, "file"],
        ],
        ["ntfsfix", "--no-action"],
        lambda part: ["ntfscat", "--quiet", "--force", part, "file"],
    ),
    FormattedPart(
        "vfat",
        24 * MIB,
        lambda part, file: [["mkfs.vfat", part], ["mcopy", "-i", part, file, "::file"]],
        ["fsck.vfat", "-n"],
        lambda part: ["mtype", "-i", part, "::file"],
    ),
)

BLANK = 2 * MIB
"""Bytes of the partition without a file system, the last one, which holds something all the same."""

TOOLS = (
    "sfdisk", "blkid", "partclone.extfs", "partclone.ntfs", "partclone.fat", "mkfs.ext4", "mkfs.ntfs",
    "mkfs.vfat", "mcopy", "ntfscp", "debugfs",
)  # fmt: skip


@attrs.frozen
class PartitionedDisk:
    """A disk image with PARTS and a blank partition."""

    path: Path
    content: bytes
    """Of the file in each file system."""
    blank: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size


def make_partitioned(folder: Path) -> PartitionedDisk:
    """Make the image."""
    content, blank, path = os.urandom(FILE), os.urandom(BLANK), folder / "disk.img"
    file = folder / "files" / "file"
    file.parent.mkdir()
    file.write_bytes(content)
    with path.open("wb") as image:
        image.truncate(MIB + sum(part.size for part in PARTS) + BLANK + MIB)
    sizes = [*(part.size for part in PARTS), BLANK]
    table = "label: gpt\n" + "".join(f"size={size // SECTOR}\n" for size in sizes)
    shell('printf %s "$1" | sfdisk --quiet "$2"', table, path)
    begin = MIB
    for part in PARTS:
        place = folder / part.kind
        place.touch()
        os.truncate(place, part.size)
        for command in part.make(place, file):
            run(*command)
        _write(path, begin, place.read_bytes())
        place.unlink()
        begin += part.size
    _write(path, begin, blank)
    return PartitionedDisk(path, content, blank)


def check_partitions(disk: PartitionedDisk, copy: Path, folder: Path) -> None:
    """Raise AssertionError if a file system on a copy is damaged, or its file is a different one."""
    begin = MIB
    for part in PARTS:
        place = folder / f"copied-{part.kind}"
        with copy.open("rb") as image:
            image.seek(begin)
            place.write_bytes(image.read(part.size))
        run(*part.check, place)
        assert run(*part.read(place)).stdout == disk.content, part.kind
        place.unlink()
        begin += part.size
    with copy.open("rb") as image:
        image.seek(begin)
        assert image.read(BLANK) == disk.blank


def _write(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
