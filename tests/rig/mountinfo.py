"""The kernel's own list of mounts, and the way to end a FUSE mount that hangs."""

import os
import re
from pathlib import Path

import attrs

CONNECTIONS = Path("/sys/fs/fuse/connections")


@attrs.frozen
class Entry:
    """One line of /proc/self/mountinfo."""

    device: str  # major:minor
    point: str
    kind: str
    options: str


def entries() -> list[Entry]:
    """Return all mounts that this process sees."""
    found = []
    # The kernel leaves bytes in names as they are that str.splitlines takes for the end of a line.
    for line in map(os.fsdecode, Path("/proc/self/mountinfo").read_bytes().split(b"\n")[:-1]):
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        found.append(Entry(fields[2], _plain(fields[4]), right.split(" ")[0], fields[5]))
    return found


def at(point: Path) -> list[Entry]:
    """Return the mounts that stand on this very folder, the lowest first."""
    return [entry for entry in entries() if entry.point == str(point)]


def below(folder: Path) -> list[Entry]:
    """Return the mounts on or under a folder."""
    return [entry for entry in entries() if Path(entry.point).is_relative_to(folder)]


def abort_file(entry: Entry) -> Path:
    """Return the file that ends a FUSE mount when 1 is written to it: all that wait get an error."""
    return CONNECTIONS / entry.device.partition(":")[2] / "abort"


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)
