"""Mount points that cannot be used: exit 1 with the remedy; and the dead mount of ours, which is cleared."""

from pathlib import Path

import pytest

from tests.mount.conftest import FaultFactory, MountFactory, PatternFactory
from tests.rig import faults, mountinfo
from tests.rig.commands import Done, fanoutfs, run
from tests.rig.images import MIB, assert_same
from tests.rig.refusals import assert_refused

SIZE = MIB


def attempt(source: Path, point: Path) -> Done:
    """Try to mount."""
    return fanoutfs("mount", "--log", point.parent / "log", source, point, code=None)


def test_a_mount_point_that_is_missing(source: Path, tmp_path: Path) -> None:
    """A folder that is not there is refused by name, with the remedy."""
    done = attempt(source, tmp_path / "nowhere")
    assert_refused(done, tmp_path / "nowhere", "mkdir")


def test_a_mount_point_that_is_a_file(source: Path, tmp_path: Path) -> None:
    """A file is no place for a mount, and is left alone."""
    path = tmp_path / "file"
    path.write_text("mine\n")
    assert_refused(attempt(source, path), path)
    assert path.read_text() == "mine\n"


@pytest.mark.tool("mount")
def test_a_mount_point_that_is_somebody_elses_mount(source: Path, point: Path) -> None:
    """A folder on which something is mounted is refused with the remedy, and stays as it is."""
    run("mount", "-t", "tmpfs", "tmpfs", point)
    try:
        assert_refused(attempt(source, point), point, "unmount")
        assert [entry.kind for entry in mountinfo.at(point)] == ["tmpfs"]
    finally:
        run("umount", point)


def test_a_mount_point_that_we_serve(mount: MountFactory, pattern_image: PatternFactory) -> None:
    """A living mount of ours is refused with the remedy, and goes on to serve its own source."""
    source = pattern_image(SIZE)
    serving = mount(source)
    assert_refused(attempt(pattern_image(2 * SIZE), serving.point), serving.point, "fanoutfs umount")
    assert len(mountinfo.at(serving.point)) == 1
    assert_same(source, serving.image)


def test_a_dead_mount_of_ours_is_cleared_and_used(mount: MountFactory, source: Path) -> None:
    """After `kill -9` of the daemon the same command mounts again, not on top of the dead mount."""
    dead = mount(source)
    dead.image.stat()  # what the kernel remembers of a dead mount must not mislead the next start
    dead.kill()
    again = mount(source, point=dead.point)
    assert len(mountinfo.at(again.point)) == 1
    assert_same(source, again.image)
    again.unmount()
    assert mountinfo.at(again.point) == []


def test_a_dead_mount_of_another_program(source: Path, faulty: FaultFactory) -> None:
    """A dead FUSE mount that is not ours is refused with the remedy, and left alone."""
    other = faulty(MIB)
    point = other.path.parent
    faults.kill(other)
    assert_refused(attempt(source, point), point, "unmount")
    assert len(mountinfo.at(point)) == 1
