"""Folders in memory, so that no disk is measured."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fanoutfs.units import MIB, format_size
from tests.rig.images import write_pattern

RAM = Path("/dev/shm")
SPARE = 1024 * MIB  # bytes for programs, and some


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Make a folder in memory, for a source and for copies."""
    with tempfile.TemporaryDirectory(prefix="fanoutfs-bench-", dir=RAM) as path:
        yield Path(path)


@contextlib.contextmanager
def image(size: int) -> Iterator[Path]:
    """Make a pattern image in memory, alone in its folder."""
    with folder() as place:
        yield write_pattern(place / "source", size)


def need_memory(size: int) -> None:
    """Exit with a message if fewer than ``size`` bytes are free, before other programs suffer."""
    available = int(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]) * 1024
    if available < size + SPARE:
        sys.exit(f"this takes {format_size(size + SPARE)} of memory; only {format_size(available)} are free")


@contextlib.contextmanager
def source_and_targets(size: int, count: int, images: int | None = None) -> Iterator[tuple[Path, list[Path]]]:
    """Make a source of ``size`` bytes in memory; return it and the paths of ``count`` targets beside it.

    Exit with a message unless memory has space for ``images`` such images, by default two more than targets.
    """
    need_memory((count + 2 if images is None else images) * size)
    with image(size) as source:
        yield source, [source.with_name(f"target-{number}") for number in range(count)]
