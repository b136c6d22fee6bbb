"""The mount table, from /proc/self/mountinfo (reading it accesses no mount); and unmounting."""

import os
import re
from pathlib import Path

import attrs

from fanoutfs.errors import UnusableError
from fanoutfs.system import bounded

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
    """The options of the file system (the last column)."""

    @property
    def device(self) -> tuple[int, int]:
        """The device number of the file system; bind mounts share it."""
        return self.major, self.minor

    @property
    def user(self) -> int | None:
        """The user that mounted it; None if it is not a FUSE mount."""
        users = (option.partition("=") for option in self.options)
        return next((int(user) for name, _, user in users if name == "user_id"), None)


def _plain(field: str) -> str:
    """Decode mountinfo's octal escapes, which stand for bytes."""
    raw = re.sub(
        rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), field.encode(errors="surrogateescape")
    )
    return raw.decode(errors="surrogateescape")


def parse(mountinfo: str) -> list[Mount]:
    """Parse mountinfo's text. Of several mounts on one mount point, the last is the visible one."""
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
    """Return all mounts that this process sees."""
    return parse(Path("/proc/self/mountinfo").read_text(errors="surrogateescape"))


def mount_at(point: Path) -> Mount | None:
    """Return the visible mount at this absolute path, or None."""
    found = [mount for mount in mounts() if mount.point == str(point)]
    return found[-1] if found else None


def detach(point: Path, *, lazy: bool) -> None:
    """Unmount ``point``; lazy: at once, even if it is in use. Raise UnusableError."""
    if os.getuid() == 0:
        argv = ["umount", "--no-canonicalize", *(["--lazy"] if lazy else []), "--", str(point)]
    else:
        argv = ["fusermount3", "-u", *(["-z"] if lazy else []), "--", str(point)]
    try:
        done = bounded.run_within(bounded.ANSWER_SECONDS, argv)
    except TimeoutError as error:
        raise UnusableError(
            f"{point} can't be unmounted: {argv[0]} has not ended within {bounded.ANSWER_SECONDS:g} seconds; "
            f"take it down with: umount -l {point}"
        ) from error
    if done.returncode:
        raise UnusableError(f"{point} can't be unmounted: {done.stderr.decode(errors='replace').strip()}")
