"""Folders in memory, so that no disk is measured."""

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fanoutfs.units import MIB, format_size

RAM = Path("/dev/shm")
SPARE = 1024 * MIB  # bytes for programs, and some


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Make a folder in memory, for a source and for copies."""
    with tempfile.TemporaryDirectory(prefix="fanoutfs-bench-", dir=RAM) as path:
        yield Path(path)


def need_memory(size: int) -> None:
    """Exit with a message if fewer than ``size`` bytes are free for RAM, before other programs lose theirs."""
    available = int(Path("/proc/meminfo").read_text().partition("MemAvailable:")[2].split()[0]) * 1024
    if available < size + SPARE:
        sys.exit(f"this takes {format_size(size + SPARE)} of memory; only {format_size(available)} are free")
