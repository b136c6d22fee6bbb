"""Ways in which a mount ends: asked for, refused, by a signal, by force."""

import os
import signal
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory
from tests.rig import mountinfo
from tests.rig.commands import FANOUTFS, fanoutfs, finish, has_ended, run, wait_until
from tests.rig.images import MIB, assert_same
from tests.rig.mounts import Mount
from tests.rig.readers import Spawn, hold
from tests.rig.refusals import assert_refused

SIZE = 16 * MIB
signals = pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
both_ways = pytest.mark.parametrize("direct", [False, True], ids=["cached", "direct"])


@signals
def test_a_signal_to_the_idle_daemon(by: signal.Signals, mount: MountFactory, small: Path) -> None:
    """SIGTERM, SIGINT and SIGHUP each unmount and end the daemon."""
    mounted = mount(small)
    os.kill(mounted.pid, by)
    wait_until(lambda: has_ended(mounted.pid), "the daemon has ended")
    assert not mounted.is_mounted()


@both_ways
def test_a_signal_to_the_daemon_of_a_reader(
    direct: bool, mount: MountFactory, source: Path, spawn: Spawn, work: Path
) -> None:
    """SIGTERM ends a mount that is being read; the reader gets an error, never an early end."""
    mounted = mount(source, "--ring", "2M", expected=["reader|handle|closing|unmount"])
    reader = hold(spawn, mounted.image, work / "copy", 2 * MIB, direct=direct)
    os.kill(mounted.pid, signal.SIGTERM)
    wait_until(lambda: has_ended(mounted.pid), "the daemon has ended")
    assert not mounted.is_mounted()
    assert reader.finish(code=None).returncode != 0


def test_the_daemon_killed_while_a_reader_waits(
    mount: MountFactory, source: Path, spawn: Spawn, work: Path
) -> None:
    """After `kill -9` of the daemon a read that waited gets an error."""
    mounted = mount(source, "--ring", "2M", "--patience", 300)
    hold(spawn, mounted.image, work / "behind", MIB, direct=True)
    waiting = spawn("dd", f"if={mounted.image}", f"of={work / 'waiting'}", "bs=1M", "iflag=direct")
    wait_until(mounted.is_paced, "the front reader waits")
    mounted.kill()
    assert finish(waiting, code=None).returncode != 0
    mounted.detach()


def test_a_busy_mount_is_not_unmounted(mounted: Mount, source: Path, spawn: Spawn, work: Path) -> None:
    """`umount` of a mount in use says by whom, and the reader goes on to a right copy."""
    reader = hold(spawn, mounted.image, work / "copy", 2 * MIB)
    assert_refused(mounted.unmount(code=None), mounted.point, reader.pid)
    reader.finish()
    assert_same(source, work / "copy")


def test_a_dead_mount_is_unmounted(mount: MountFactory, small: Path) -> None:
    """`umount` removes what a killed daemon has left."""
    mounted = mount(small)
    mounted.kill()
    mounted.unmount()
    assert not mounted.is_mounted()


def test_umount_takes_the_source(mount: MountFactory, small: Path) -> None:
    """`umount SOURCE` ends the mount of that source; a second one fails."""
    mounted = mount(small)
    fanoutfs("umount", small)
    assert not mounted.is_mounted()
    assert_refused(fanoutfs("umount", small, code=None), small)


def test_umount_refuses_a_source_with_several_mount_points(
    mount: MountFactory, small: Path, tmp_path: Path
) -> None:
    """With a bind mount there are two: both are named, and stay."""
    mounted = mount(small)
    second = tmp_path / "second"
    second.mkdir()
    run("mount", "--bind", mounted.point, second)
    try:
        assert_refused(fanoutfs("umount", small, code=None), mounted.point, second)
        assert mounted.is_mounted()
    finally:
        run("umount", second)


def test_unmounting_twice(mount: MountFactory, small: Path) -> None:
    """The second `umount` finds no mount and says so."""
    mounted = mount(small)
    mounted.unmount()
    assert_refused(mounted.unmount(code=None), mounted.point)


def test_the_daemon_is_gone_when_umount_returns(mount: MountFactory, small: Path) -> None:
    """When `umount` returns, the mount is gone and the source is free."""
    mounted = mount(small)
    for _ in range(3):
        mounted.unmount()
        assert not mounted.is_mounted()
        mounted = mount(small, point=mounted.point)


def test_unmounting_with_the_systems_command(mount: MountFactory, small: Path) -> None:
    """Plain `umount` ends the daemon as well, without a complaint in its log."""
    mounted = mount(small)
    run("umount", mounted.point)
    wait_until(lambda: has_ended(mounted.pid), "the daemon has ended")


@pytest.mark.parametrize("name", [".", "nowhere"])
@pytest.mark.parametrize("command", ["umount", "status"])
def test_a_path_that_is_no_mount(command: str, name: str, point: Path) -> None:
    """A plain folder and a missing path are refused by name."""
    assert_refused(fanoutfs(command, point / name, code=None), point / name)


@pytest.mark.parametrize("command", ["umount", "status"])
def test_a_mount_of_somebody_else(command: str, point: Path) -> None:
    """A mount that is not ours is refused by name and stays."""
    run("mount", "-t", "tmpfs", "tmpfs", point)
    try:
        assert_refused(fanoutfs(command, point, code=None), point)
        assert [entry.kind for entry in mountinfo.at(point)] == ["tmpfs"]
    finally:
        run("umount", point)


def test_the_status_of_a_dead_mount(mount: MountFactory, small: Path) -> None:
    """`status` of a mount whose daemon was killed says so."""
    mounted = mount(small)
    mounted.kill()
    assert_refused(fanoutfs("status", mounted.point, code=None), mounted.point)
    mounted.detach()


def test_the_foreground(small: Path, point: Path, spawn: Spawn, work: Path) -> None:
    """`mount -f` serves until Control-C, then unmounts and exits 0."""
    front = spawn(FANOUTFS, "mount", "-f", "--ring", "2M", small, point)
    wait_until((point / "image").exists, "the mount answers")
    run("cp", point / "image", work / "copy")
    front.send_signal(signal.SIGINT)
    finish(front)
    assert mountinfo.at(point) == []
    assert_same(small, work / "copy")
