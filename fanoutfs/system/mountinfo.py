"""What is mounted where, from /proc/self/mountinfo, which touches no mount; and taking one off."""

import os
import re
import subprocess
from pathlib import Path

import attrs

from fanoutfs.errors import UnusableError

FANOUTFS = "fuse.fanoutfs"


@attrs.frozen
class Mount:
    """One line of mountinfo (proc(5))."""

    major: int
    minor: int
    point: str
    kind: str
    source: str
    options: tuple[str, ...]
    """Of the file system (the last column)."""

    @property
    def device(self) -> tuple[int, int]:
        """The device number of the file system; bind mounts share it."""
        return self.major, self.minor

    @property
    def user(self) -> int | None:
        """Who mounted it, when it is a FUSE mount."""
        for option in self.options:
            if option.startswith("user_id="):
                return int(option.removeprefix("user_id="))
        return None


def _plain(field: str) -> str:
    """Undo mountinfo's octal escapes; a name is bytes there."""
    raw = re.sub(
        rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), field.encode(errors="surrogateescape")
    )
    return raw.decode(errors="surrogateescape")


def parse(mountinfo: str) -> list[Mount]:
    """Read mountinfo's text, in its order: of several mounts on one point the last is the one in sight."""
    mounts = []
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, (kind, source, options) = left.split(" "), right.split(" ", 2)
        major, _, minor = fields[2].partition(":")
        mounts.append(
            Mount(int(major), int(minor), _plain(fields[4]), kind, _plain(source), tuple(options.split(",")))
        )
    return mounts


def mounts() -> list[Mount]:
    """Give all mounts that this process sees."""
    return parse(Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))


def mount_at(point: Path) -> Mount | None:
    """Give the mount in sight at this absolute path, or None."""
    found = [mount for mount in mounts() if mount.point == str(point)]
    return found[-1] if found else None


def detach(point: Path, *, lazy: bool) -> None:
    """Unmount what is on ``point``; lazy: at once, though it is in use. Raises UnusableError."""
    if os.getuid() == 0:
        command = ["umount", "--no-canonicalize", *(["--lazy"] if lazy else []), "--", str(point)]
    else:
        command = ["fusermount3", "-u", *(["-z"] if lazy else []), "--", str(point)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnusableError(f"{point} can't be unmounted: {done.stderr.strip()}")
