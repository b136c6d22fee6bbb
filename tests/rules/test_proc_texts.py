"""Texts read from /proc."""

import pytest

from fanoutfs.fuse.reaper import has_fatal_signal
from fanoutfs.system.mountinfo import Mount, parse

LINE = (
    "36 35 0:45 / /mnt/a\\040b rw,nosuid - fuse.fanoutfs /dev/sdb ro,user_id=1000,group_id=1000\n"
    "37 35 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
)


def test_a_mount_is_read_from_its_line() -> None:
    """Escapes are undone, optional fields skipped."""
    first, second = parse(LINE)

    assert first == Mount(
        0, 45, "/mnt/a b", "fuse.fanoutfs", "/dev/sdb", ("ro", "user_id=1000", "group_id=1000")
    )
    assert (first.user, second.user, second.kind) == (1000, None, "ext4")


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
