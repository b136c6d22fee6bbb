"""The kernel's own list of mounts, and how to abort a FUSE mount that hangs."""

import contextlib
import os
import re
import subprocess
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


def entries(process: int | str = "self") -> list[Entry]:
    """Return all mounts that a process sees."""
    found = []
    # Not str.splitlines: it would split at further bytes, which the kernel does not escape in names.
    for line in map(os.fsdecode, Path(f"/proc/{process}/mountinfo").read_bytes().split(b"\n")[:-1]):
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        found.append(Entry(fields[2], _plain(fields[4]), right.split(" ")[0], fields[5]))
    return found


def at(point: Path) -> list[Entry]:
    """Return the mounts at exactly this folder, the lowest first."""
    return [entry for entry in entries() if entry.point == str(point)]


def below(folder: Path) -> list[Entry]:
    """Return the mounts on or under a folder."""
    return [entry for entry in entries() if Path(entry.point).is_relative_to(folder)]


def abort_file(entry: Entry) -> Path:
    """Return the file that aborts a FUSE mount when 1 is written to it: its waiting requests fail."""
    return CONNECTIONS / entry.device.partition(":")[2] / "abort"


def abort(point: Path) -> None:
    """Abort the FUSE mounts at a folder, and every process that waits for one of them gets an error."""
    for entry in at(point):
        with contextlib.suppress(OSError):
            abort_file(entry).write_text("1")


def mount_fusectl() -> None:
    """Mount the folder of the abort files if it is not mounted; it stays, as others may use it by then."""
    if CONNECTIONS.is_dir() and not at(CONNECTIONS):
        subprocess.run(["mount", "-t", "fusectl", "none", CONNECTIONS], check=False)


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), text)
