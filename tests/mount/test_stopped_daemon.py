"""The daemon of a mount is stopped: every command ends within its limit, and names the process."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanoutfs.units import PAGE
from tests.mount.conftest import MountFactory
from tests.rig.commands import FANOUTFS, Argument, Process, end, finish, is_stopped, start, wait_until
from tests.rig.copies import Copies
from tests.rig.images import MIB, assert_same
from tests.rig.mounts import Mount

SIZE = MIB


@pytest.fixture
def stopped(mount: MountFactory, source: Path) -> Iterator[Mount]:
    """Give a mount whose daemon is stopped; it goes on at the end, and the mount is whole."""
    made = mount(source)
    os.kill(made.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: is_stopped(made.pid), "the daemon is stopped")
        yield made
    finally:
        os.kill(made.pid, signal.SIGCONT)
    assert_same(source, made.image)


def test_all_commands_at_once(stopped: Mount, tmp_path: Path) -> None:
    """Each ends with one line that names the daemon and what continues it, the list of producers, too."""
    point, source, other = stopped.point, stopped.source, tmp_path / "other"
    other.mkdir()
    commands: list[tuple[Argument, ...]] = [
        ("status", point),
        ("status", source),
        ("status",),
        ("top", "-n", "1", point),
        ("copy", point, tmp_path / "t1"),
        ("copy", stopped.image, tmp_path / "t2"),
        ("copy", source, tmp_path / "t3"),
        ("mount", source, point),
        ("mount", source, other),
        ("umount", point),
        ("umount", source),
    ]
    running: list[Process] = [start(FANOUTFS, *command) for command in commands]
    try:
        for process in running:
            done = finish(process, code=1)
            said = done.stderr.decode().splitlines()
            assert len(said) == 1
            assert "not answered for" in said[0]
            assert f"kill -CONT {stopped.pid}" in said[0]
    finally:
        for process in running:
            end(process)
    assert [path.name for path in tmp_path.glob("t?")] == []
    assert stopped.is_mounted()


def test_what_needs_no_daemon(stopped: Mount) -> None:
    """A file in the mount is none of the sources, which the mount table tells at once."""
    done = finish(start(FANOUTFS, "status", stopped.image), code=1)
    assert f"fanoutfs status {stopped.point}" in done.stderr.decode()


@pytest.mark.soak
def test_the_producer_of_a_copy_is_stopped(copies: Copies, source: Path, work: Path) -> None:
    """The copy fails, with a line that names the process; with --resume it is right once that goes on."""
    target = work / "target"
    copy = copies.start(source, target, "--block", PAGE, "--ring", 8 * PAGE, "--read-rate", SIZE // 30)
    pid = copies.wait_for_targets(source, target)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        failed = copies.finish(copy, code=1)
    finally:
        os.kill(pid, signal.SIGCONT)
    copies.run(source, target, "--resume")

    said = failed.stderr.decode().splitlines()
    assert f"the producer has not answered for 20 seconds: process {pid} is stopped; " in said[0]
    assert said[0].endswith(f"kill -CONT {pid}")
    assert_same(source, target)
