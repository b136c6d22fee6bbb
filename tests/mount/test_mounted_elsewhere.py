"""A mount that is also somewhere else: in a different mount namespace, or on a second folder."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mount.conftest import opened
from tests.rig import mountinfo
from tests.rig.commands import Argument, Process, fanoutfs, has_ended, run, wait_until
from tests.rig.hosts import FORGET
from tests.rig.images import MIB, assert_same
from tests.rig.mounts import Mount
from tests.rig.refusals import assert_refused

SIZE = MIB


@pytest.fixture
def kept(mounted: Mount, spawn: Callable[..., Process]) -> Process:
    """Return a process with its own mount namespace, which has the mount."""
    script = f"KEPT=$1; {FORGET} exec sleep 300"
    process = spawn("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", mounted.point)
    command = Path(f"/proc/{process.pid}/comm")
    wait_until(lambda: command.read_text() == "sleep\n", "the namespace is made")
    assert str(mounted.point) in [entry.point for entry in mountinfo.entries(process.pid)]
    return process


def test_another_namespace_has_it(mounted: Mount, kept: Process, source: Path, tmp_path: Path) -> None:
    """It is unmounted here; who has it is named, to a new mount as well, until that has ended."""
    other = tmp_path / "other"
    other.mkdir()
    who = f"sleep (process {kept.pid}) still has it"
    done = mounted.unmount()

    assert who in done.stderr.decode()
    assert not mounted.is_mounted()
    commands: list[list[Argument]] = [
        ["mount", source, mounted.point],
        ["mount", source, other],
        ["umount", source],
    ]
    for command in commands:
        assert_refused(fanoutfs(*command, code=None), who, f"nsenter --target {kept.pid}")

    run("nsenter", "--target", kept.pid, "--mount", "umount", mounted.point)
    wait_until(lambda: has_ended(mounted.pid), "the daemon has ended")
    fanoutfs("mount", source, mounted.point)
    assert_same(source, mounted.image)
    fanoutfs("umount", source)


def test_its_daemon_is_ended(mounted: Mount, kept: Process) -> None:
    """What is mounted by then on the folder where it was stays."""
    mounted.unmount()
    run("mount", "-t", "tmpfs", "tmpfs", mounted.point)
    os.kill(mounted.pid, signal.SIGTERM)
    wait_until(lambda: has_ended(mounted.pid), "the daemon has ended")
    left = [entry.kind for entry in mountinfo.at(mounted.point)]
    run("umount", mounted.point)

    assert ["tmpfs"] == left
    assert kept.poll() is None


@pytest.fixture
def second(mounted: Mount, tmp_path: Path) -> Iterator[Path]:
    """Mount it on a second folder, too."""
    folder = tmp_path / "second"
    folder.mkdir()
    run("mount", "--bind", mounted.point, folder)
    yield folder
    run("umount", "--lazy", folder, code=None)


def test_a_second_folder_has_it(mounted: Mount, second: Path, source: Path) -> None:
    """Each is unmounted at once, and names the other; the daemon ends with the last."""
    here = f"it is still mounted on {second}"
    assert here in mounted.unmount().stderr.decode()
    assert_same(source, second / "image")
    commands: list[list[Argument]] = [["mount", source, mounted.point], ["umount", source]]
    for command in commands:
        assert_refused(fanoutfs(*command, code=None), here, f"fanoutfs umount {second}")
    fanoutfs("umount", second)

    # A namespace that is made beside this test keeps the mount for a moment.
    wait_until(lambda: has_ended(mounted.pid), "the daemon has ended")


def test_it_was_unmounted_while_it_was_read(mounted: Mount, source: Path) -> None:
    """After a lazy unmount the reader is named; the daemon ends with it."""
    with opened(mounted.image):
        mounted.detach()
        wait_until(lambda: not mounted.is_mounted(), "it is unmounted")
        commands: list[list[Argument]] = [["mount", source, mounted.point], ["umount", source]]
        for command in commands:
            assert_refused(fanoutfs(*command, code=None), f"({os.getpid()})", f"kill {mounted.pid}")
    wait_until(lambda: has_ended(mounted.pid), "the daemon has ended")


def test_a_different_mount_covers_it(mounted: Mount, source: Path) -> None:
    """It is there again when that is unmounted."""
    run("mount", "-t", "tmpfs", "tmpfs", mounted.point)
    said = [fanoutfs(*command, code=1).stderr for command in (("umount", source), ("mount", source, "/mnt"))]
    run("umount", mounted.point)

    assert all(f"covers it on {mounted.point}".encode() in line for line in said)
    assert_same(source, mounted.image)
