"""A file system whose server is stopped: a copy elsewhere goes on, what names it ends with a line."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanoutfs.system.bounded import call_within
from tests.mount.conftest import FaultFactory
from tests.rig.commands import FANOUTFS, end, finish, start, wait_until
from tests.rig.copies import Copies
from tests.rig.faults import Served
from tests.rig.images import MIB, assert_same
from tests.rig.loops import attached

pytestmark = pytest.mark.tool("losetup")

SIZE = MIB


@pytest.fixture
def hanging(faulty: FaultFactory) -> Iterator[Served]:
    """Give a file that a stopped server serves; a loop device is on it."""
    served = faulty(SIZE)
    with attached(served.path, "--read-only"):
        os.kill(served.server.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: _hangs(served.path), "the kernel has forgotten what the server told it")
            yield served
        finally:
            os.kill(served.server.pid, signal.SIGCONT)


def _hangs(path: Path) -> bool:
    try:
        call_within(0.2, path.stat)
    except TimeoutError:
        return True
    return False


def test_a_copy_that_has_nothing_to_do_with_it(
    hanging: Served, copies: Copies, source: Path, work: Path
) -> None:
    """It is not held up: the loop device's file is not accessed."""
    assert hanging.path.name
    copies.run(source, work / "target")
    assert_same(source, work / "target")


def test_commands_that_name_it(hanging: Served, source: Path, work: Path, point: Path) -> None:
    """Each ends with one line that names the path and the mount, and writes nothing."""
    there, below = hanging.path, hanging.path.parent / "x"
    running = [
        start(FANOUTFS, *words)
        for words in (
            ("copy", there, work / "target"),
            ("copy", source, below),
            ("mount", there, point),
            ("mount", source, below),
            ("mount", "--log", below, source, point),
            ("copy", "--log", below, source, work / "target"),
            ("copy", source, work / "new", there),
            ("status", there),
            ("umount", there),
            ("top", "-n", "1", there),
        )
    ]
    try:
        for process in running:
            said = finish(process, code=1).stderr.decode().splitlines()
            assert len(said) == 1
            assert f" does not answer: the file system on {there.parent} (fuse" in said[0]
            assert f"umount -l {there.parent}" in said[0]
    finally:
        for process in running:
            end(process)
    assert list(work.iterdir()) == []
