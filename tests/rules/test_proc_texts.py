"""Texts read from /proc."""

import os
import re

import pytest

from fanoutfs.fuse.reaper import has_fatal_signal
from fanoutfs.system.mountinfo import Mount, parse, visible

LINE = (
    b"36 35 0:45 /a\\040part /mnt/a\\040b rw,nosuid - fuse.fanoutfs /dev/sdb ro,user_id=1000,group_id=1000\n"
    b"37 35 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
)


def test_a_mount_is_read_from_its_line() -> None:
    """Escapes are undone, optional fields skipped."""
    first, second = parse(LINE)

    assert first == Mount(
        number=36,
        parent=35,
        major=0,
        minor=45,
        point="/mnt/a b",
        kind="fuse.fanoutfs",
        source="/dev/sdb",
        options=("ro", "user_id=1000", "group_id=1000"),
        root="/a part",
    )
    assert (first.user, second.user, second.kind) == (1000, None, "ext4")


@pytest.mark.parametrize(
    "name", ["A\rB", "A\fB", "A\vB", "A\x1cB", "A\x85B", "A\u2028B", "caf\udce9", "A\\\\012B", "A\nB\tC"]
)
def test_every_name_of_a_mount_point_is_read(name: str) -> None:
    """The kernel escapes four characters; what str.splitlines takes for the end of a line is none."""
    escaped = re.sub(rb"[ \t\n\\]", lambda found: b"\\%03o" % ord(found[0]), os.fsencode(name))
    (mount, _) = parse(LINE.replace(b"a\\040b", escaped))
    assert f"/mnt/{name}" == mount.point


def tree(*mounts: tuple[int, int, str]) -> list[str]:
    """Return which of these mounts (number, parent, mount point) a path leads to."""
    lines = [
        f"{number} {parent} 0:{number} / {point} rw - tmpfs t{number} rw" for number, parent, point in mounts
    ]
    return [mount.source for mount in visible(parse("\n".join(lines).encode()))]


@pytest.mark.parametrize(
    ("mounts", "seen"),
    [
        ([(1, 0, "/"), (2, 1, "/mnt"), (3, 2, "/mnt/f")], "t1 t2 t3"),
        # On the same folder: the upper one.
        ([(1, 0, "/"), (2, 1, "/mnt"), (3, 2, "/mnt")], "t1 t3"),
        # A later mount on a folder above, with the same parent, hides what was mounted before.
        ([(1, 0, "/"), (2, 1, "/mnt/f"), (3, 1, "/mnt")], "t1 t3"),
        ([(1, 0, "/"), (2, 1, "/mnt/f"), (3, 2, "/mnt/f/g"), (4, 1, "/mnt"), (5, 4, "/mnt/f")], "t1 t4 t5"),
        # A name that only begins alike is no folder above.
        ([(1, 0, "/"), (2, 1, "/mnt/f2"), (3, 1, "/mnt/f")], "t1 t2 t3"),
        # What was mounted in the lower of two on one folder.
        ([(1, 0, "/"), (2, 1, "/mnt"), (3, 2, "/mnt/f"), (4, 2, "/mnt")], "t1 t4"),
        # In a chroot the parent of the first is not listed.
        ([(7, 6, "/"), (8, 7, "/mnt")], "t7 t8"),
        # Torn tables: read while mounts came and went.
        ([(1, 2, "/"), (2, 1, "/mnt")], ""),
    ],
)
def test_the_mounts_that_a_path_leads_to(mounts: list[tuple[int, int, str]], seen: str) -> None:
    """The others are covered."""
    assert seen.split() == tree(*mounts)


def status(pending: int = 0, shared: int = 0, blocked: int = 0, ignored: int = 0) -> str:
    masks = {"SigPnd": pending, "ShdPnd": shared, "SigBlk": blocked, "SigIgn": ignored, "SigCgt": 0}
    return "Name:\tdd\n" + "".join(f"{key}:\t{mask:016x}\n" for key, mask in masks.items())


KILL, TERM, USR1 = 1 << 8, 1 << 14, 1 << 9


@pytest.mark.parametrize(
    ("text", "dies"),
    [
        (status(), False),
        (status(pending=KILL), True),
        (status(shared=TERM), True),
        (status(shared=TERM, blocked=TERM), False),
        (status(shared=TERM, ignored=TERM), False),
        (status(shared=USR1), False),
        ("", False),
    ],
)
def test_only_a_deliverable_ending_signal_tells_a_reader_to_die(text: str, *, dies: bool) -> None:
    """With a blocked, ignored or harmless signal it keeps waiting, and so does a vanished process."""
    assert has_fatal_signal(text) is dies
