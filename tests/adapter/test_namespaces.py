"""Mounts that other mount namespaces have, from a /proc of files."""

from pathlib import Path

import pytest

from fanoutfs.system.mountinfo import Mount
from fanoutfs.system.namespaces import MOST, MountElsewhere, elsewhere

OURS, ELSE = "0:45 / /mnt/a\\040b", "8:1 / /"


@pytest.fixture(autouse=True)
def _self(tmp_path: Path) -> None:
    process(tmp_path, "self", 1, OURS)
    process(tmp_path, 4, 1, OURS)


def process(proc: Path, pid: object, namespace: int | None, *mounts: str, command: bytes = b"dd") -> None:
    """Make a process; one that shows no namespace is a different user's."""
    folder = proc / str(pid)
    (folder / "ns").mkdir(parents=True)
    if namespace is not None:
        (folder / "ns" / "mnt").symlink_to(f"mnt:[{namespace}]")
    lines = [f"36 35 {mount} rw - fuse.fanoutfs /dev/sdb rw\n" for mount in mounts]
    (folder / "mountinfo").write_text("".join(lines))
    (folder / "comm").write_bytes(command + b"\n")


def found(proc: Path) -> list[MountElsewhere]:
    def matches(mount: Mount) -> bool:
        return mount.device == (0, 45)

    return elsewhere(matches, proc)


def test_one_process_of_each_namespace_is_named(tmp_path: Path) -> None:
    """The first, with the mount point that it sees; our own namespace is none of them."""
    process(tmp_path, 12, 2, ELSE, OURS)
    process(tmp_path, 9, 2, ELSE, OURS)
    process(tmp_path, 10, 3, ELSE)

    assert [MountElsewhere(9, "dd", "/mnt/a b")] == found(tmp_path)


@pytest.mark.parametrize("command", [b"", b"\x1b[2J", b"caf\xe9", b"two\nlines"])
def test_odd_names_of_programs(tmp_path: Path, command: bytes) -> None:
    """A program may give itself any name; what can't be printed is not."""
    process(tmp_path, 9, 2, OURS, command=command)

    assert ["a program"] == [one.command for one in found(tmp_path)]


def test_what_may_not_be_seen_or_has_ended(tmp_path: Path) -> None:
    """The table of mounts of a different user's process can be read all the same."""
    process(tmp_path, 9, None, OURS)
    process(tmp_path, 10, 3, OURS)
    (tmp_path / "10" / "mountinfo").unlink()

    assert [9] == [one.pid for one in found(tmp_path)]


def test_thousands_of_namespaces(tmp_path: Path) -> None:
    """A few are enough for a message."""
    for pid in range(10, 10 + 2 * MOST):
        process(tmp_path, pid, pid, OURS)

    assert MOST == len(found(tmp_path))
