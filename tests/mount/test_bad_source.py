"""Sources that cannot be mounted: exit 1, which one and why, nothing mounted."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mount.conftest import NO_SOURCES, LoopFactory, MountFactory, no_source
from tests.rig import mountinfo
from tests.rig.commands import FANOUTFS, Argument, Done, fanoutfs, run
from tests.rig.images import MIB
from tests.rig.refusals import assert_refused

SIZE = MIB

Refuse = Callable[..., Done]
WITHOUT_POWER = "-dac_override,-dac_read_search"  # root that may not read everything


@pytest.fixture
def refuse(point: Path, tmp_path: Path) -> Refuse:
    """Try to mount, and check that nothing came of it."""

    def attempt(source: Argument, *mentions: object, cwd: Path | None = None) -> Done:
        done = fanoutfs("mount", "--log", tmp_path / "log", source, point, code=None, cwd=cwd)
        assert mountinfo.at(point) == []
        assert_refused(done, *mentions)
        return done

    return attempt


@pytest.mark.parametrize("kind", NO_SOURCES)
def test_what_is_no_source(kind: str, refuse: Refuse, tmp_path: Path) -> None:
    """It is refused by name."""
    path = no_source(kind, tmp_path)
    refuse(path, path)


def test_a_source_that_may_not_be_read(point: Path, tmp_path: Path) -> None:
    """A file without permission is refused by name."""
    secret = tmp_path / "secret.img"
    secret.write_bytes(b"x" * 4096)
    secret.chmod(0)
    powerless = ("setpriv", "--bounding-set", WITHOUT_POWER) if os.geteuid() == 0 else ()
    done = run(*powerless, FANOUTFS, "mount", "--log", tmp_path / "log", secret, point, code=None)
    assert mountinfo.at(point) == []
    assert_refused(done, secret)


def test_a_source_inside_the_mount_point(refuse: Refuse, point: Path) -> None:
    """A source that the mount would hide, and wait for, is refused."""
    inside = point / "inside.img"
    inside.write_bytes(b"x" * MIB)
    refuse(inside, inside)


def test_a_log_that_is_the_source(point: Path, source: Path) -> None:
    """The log would change the source."""
    before = source.read_bytes()
    assert_refused(fanoutfs("mount", "--log", source, source, point, code=1), f"--log {source} is the source")
    assert before == source.read_bytes()


def test_a_log_inside_the_mount_point(point: Path, source: Path) -> None:
    """A log that the mount would hide is refused: the daemon must not touch its own mount."""
    done = fanoutfs("mount", "--log", point / "log", source, point, code=None)
    assert mountinfo.at(point) == []
    assert_refused(done, point / "log")


def test_a_source_mounted_already(refuse: Refuse, mount: MountFactory, source: Path, tmp_path: Path) -> None:
    """The same file by whatever path is refused, naming the mount that serves it."""
    linked, symbolic, hard = (tmp_path / name for name in ("source.img", "symbolic", "hard"))
    os.link(source, linked)
    symbolic.symlink_to(linked)
    os.link(linked, hard)
    serving = mount(linked)
    for name in (linked, Path("source.img"), symbolic, hard):
        refuse(name, serving.point, cwd=tmp_path)


def test_a_block_device_mounted_already(
    refuse: Refuse, mount: MountFactory, source: Path, loop: LoopFactory, tmp_path: Path
) -> None:
    """The same device by another node is refused, naming the mount that serves it."""
    device = loop(source)
    serving = mount(device)
    node = tmp_path / "node"
    os.mknod(node, 0o600 | 0o060000, device.stat().st_rdev)
    refuse(device, serving.point)
    refuse(node, serving.point)


def test_a_source_is_free_again_after_the_unmount(mount: MountFactory, source: Path) -> None:
    """What was mounted and unmounted can be mounted elsewhere at once."""
    mount(source).unmount()
    mount(source)


def test_a_source_is_free_again_after_the_daemon_was_killed(mount: MountFactory, source: Path) -> None:
    """A killed daemon's claim on its source dies with it: the source can be mounted elsewhere."""
    dead = mount(source)
    dead.kill()
    mount(source)
    dead.detach()
