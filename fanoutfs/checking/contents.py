"""What is on a disk: what blkid (util-linux) recognises by its content, and whether it begins with zeros.

lsblk reports what udev has recorded. Where there is no udev, as in a container, or before udev has looked at
a disk that was just plugged in, only the content itself tells.
"""

import shlex
from functools import partial

from fanoutfs.system.bounded import call_within, run_within
from fanoutfs.units import MIB

BEGINNING = MIB
"""Bytes at the beginning of a disk that are zeros when it is blank."""

SECONDS = 10.0
"""How long blkid may read one disk, and how long its beginning may take."""


def probe(path: str) -> dict[str, str]:
    """Return what blkid finds on a disk or partition: TYPE, LABEL, PTTYPE; nothing if it finds nothing.

    Also nothing where blkid is missing, fails or takes too long.
    """
    command = ["blkid", "--probe", "--output", "export", "--", path]
    try:
        done = run_within(SECONDS, command)
    except OSError:
        return {}
    text = done.stdout.decode(errors="replace")
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: "".join(shlex.split(value)) for key, _, value in pairs}


def begins_with_zeros(path: str) -> bool:
    """Return whether the beginning of a disk has zeros alone; if it can't be read in time, it has not."""
    try:
        return call_within(SECONDS, partial(_begins_with_zeros, path))
    except OSError:
        return False


def _begins_with_zeros(path: str) -> bool:
    with open(path, "rb", buffering=0) as disk:  # noqa: PTH123 (its path is text everywhere)
        return not any(disk.read(BEGINNING))
