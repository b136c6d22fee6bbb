"""What is read: a pattern image in memory, a file or behind a loop device whose reads the kernel counts."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

from fanoutfs.units import MIB, format_size

RAM = Path("/dev/shm")  # a tmpfs: no disk is measured
SPARE = 1024 * MIB  # bytes that programs take, and some
LANE = 8  # bytes; in a pattern image every so many bytes are their own offset, big-endian
SECTOR = 512  # bytes; the kernel counts reads in these, whatever the device's own sectors are


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Make a folder in memory, for a source and for copies."""
    with tempfile.TemporaryDirectory(prefix="fanoutfs-bench-", dir=RAM) as path:
        yield Path(path)


def need_memory(size: int) -> None:
    """End with a message where there is no memory for so many bytes in RAM, before others lose theirs."""
    available = int(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]) * 1024
    if available < size + SPARE:
        sys.exit(f"that takes {format_size(size + SPARE)} of memory, and {format_size(available)} are free")


def pattern_image(path: Path, size: int) -> Path:
    """Write an image in which every 8 bytes are their own offset: a misplaced byte says where it is from."""
    lanes = range(0, MIB, LANE)
    first = int.from_bytes(b"".join(offset.to_bytes(LANE, "big") for offset in lanes), "big")
    ones = int.from_bytes((1).to_bytes(LANE, "big") * len(lanes), "big")
    with path.open("wb") as file:
        for offset in range(0, size, MIB):
            block = (first + ones * offset).to_bytes(MIB, "big")
            file.write(block[: size - offset])
    return path


@attrs.frozen
class LoopDevice:
    """A file as a block device."""

    path: Path

    def bytes_read(self) -> int:
        """Give what the kernel has read of the device since it was attached, in bytes."""
        return self._counted(2)

    def bytes_written(self) -> int:
        """Give what the kernel has written to the device since it was attached, in bytes."""
        return self._counted(6)

    @property
    def number(self) -> str:
        """Its major and minor number, as cgroups want them."""
        return (Path("/sys/block") / self.path.name / "dev").read_text().strip()

    def _counted(self, field: int) -> int:
        return int((Path("/sys/block") / self.path.name / "stat").read_text().split()[field]) * SECTOR


@contextlib.contextmanager
def loop_device(file: Path, *, writable: bool = False) -> Iterator[LoopDevice]:
    """Attach a file to a loop device, read-only unless told."""
    command = ["losetup", "--find", "--show", *(() if writable else ("--read-only",)), str(file)]
    path = Path(subprocess.check_output(command, text=True).strip())
    try:
        yield LoopDevice(path)
    finally:
        subprocess.run(["losetup", "--detach", path], check=True)
