"""A real disk image: a GPT with one ext4 that has files in it."""

import random
from pathlib import Path

import attrs

from tests.rig.commands import run, shell
from tests.rig.images import MIB, SECTOR

START = 1 * MIB
PARTITION = 28 * MIB
SIZE = START + PARTITION + 1 * MIB  # the second table is at the end


@attrs.frozen
class Disk:
    """The image, the folder with the files of its file system, and its partition (bytes)."""

    path: Path
    files: Path
    start: int = START
    length: int = PARTITION


def make_disk(folder: Path) -> Disk:
    """Make the image and the folder."""
    disk = Disk(folder / "disk.img", folder / "files")
    _make_files(disk.files)
    with disk.path.open("wb") as image:
        image.truncate(SIZE)
    table = f"label: gpt\nstart={START // SECTOR}, size={PARTITION // SECTOR}, name=data\n"
    shell('printf %s "$1" | sfdisk --quiet "$2"', table, disk.path)
    file_system = folder / "partition.img"
    run("mkfs.ext4", "-q", "-L", "fanout", "-d", disk.files, file_system, f"{PARTITION // 1024}k")
    seek = f"seek={START // MIB}"
    run("dd", f"if={file_system}", f"of={disk.path}", "bs=1M", seek, "conv=notrunc", "status=none")
    file_system.unlink()
    return disk


def _make_files(folder: Path) -> None:
    chance = random.Random(7)
    (folder / "deep" / "er").mkdir(parents=True)
    for number in range(40):
        name = f"deep/er/{number}" if number % 2 else str(number)
        (folder / name).write_bytes(chance.randbytes(chance.randrange(900_000)))
    (folder / "hello.txt").write_text("read once, copied to many\n")
    (folder / "link").symlink_to("hello.txt")
