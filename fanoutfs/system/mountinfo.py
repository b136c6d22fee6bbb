"""The mount table, from /proc/self/mountinfo (reading it accesses no mount); and unmounting."""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from fanoutfs.errors import UnusableError
from fanoutfs.system import bounded

FANOUTFS = "fuse.fanoutfs"


@attrs.frozen
class Mount:
    """One line of mountinfo (proc(5))."""

    number: int
    parent: int
    """The number of the mount that it is mounted in."""
    major: int
    minor: int
    point: str
    kind: str
    source: str
    options: tuple[str, ...]
    """The options of the file system (the last column)."""
    root: str = "/"
    """The folder of the file system that is mounted: a bind mount may show a part of it."""

    @property
    def device(self) -> tuple[int, int]:
        """The device number of the file system; bind mounts share it."""
        return self.major, self.minor

    @property
    def user(self) -> int | None:
        """The user that mounted it; None if it is not a FUSE mount."""
        users = (option.partition("=") for option in self.options)
        return next((int(user) for name, _, user in users if name == "user_id"), None)


def parse(mountinfo: bytes) -> list[Mount]:
    """Parse mountinfo. Of a name the kernel escapes blank, tab, newline and backslash alone."""
    return [_mount(line) for line in mountinfo.split(b"\n") if line]


def _mount(line: bytes) -> Mount:
    left, _, right = line.partition(b" - ")
    fields, (kind, source, options) = left.split(b" "), right.split(b" ", 2)
    major, _, minor = fields[2].partition(b":")
    return Mount(
        number=int(fields[0]),
        parent=int(fields[1]),
        major=int(major),
        minor=int(minor),
        point=plain(fields[4]),
        kind=os.fsdecode(kind),
        source=plain(source),
        options=tuple(os.fsdecode(options).split(",")),
        root=plain(fields[3]),
    )


def plain(field: bytes) -> str:
    """Return a name from one of the kernel's tables, with its octal escapes decoded."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), field))


def mounts() -> list[Mount]:
    """Return all mounts of this process's namespace, also those that others cover."""
    return parse(Path("/proc/self/mountinfo").read_bytes())


def visible(mounts: Iterable[Mount]) -> list[Mount]:
    """Return the mounts that a path leads to: those that no mount on the same or a higher folder covers."""
    by_number = {mount.number: mount for mount in mounts}
    points: dict[int, set[str]] = {}
    for mount in by_number.values():
        points.setdefault(mount.parent, set()).add(mount.point)
    reached: dict[int, bool] = {}

    def is_reached(mount: Mount) -> bool:
        known = reached.get(mount.number)
        if known is None:
            # Marked first: a table that changes while it is read might name a mount as its own ancestor.
            reached[mount.number] = False
            parent = by_number.get(mount.parent)
            covered = any(folder in points[mount.parent] for folder in _folders_above(mount.point))
            known = not covered and (parent is None or is_reached(parent))
            reached[mount.number] = known
        return known

    return [
        mount
        for mount in by_number.values()
        if is_reached(mount) and mount.point not in points.get(mount.number, ())
    ]


def _folders_above(point: str) -> Iterator[str]:
    while point != (point := os.path.dirname(point)):  # noqa: PTH120 (text only)
        yield point


def mount_at(point: Path) -> Mount | None:
    """Return the visible mount at this absolute path, or None."""
    return next((mount for mount in visible(mounts()) if mount.point == str(point)), None)


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
