"""Copies and a mount of the same source: one producer serves both, whichever was first."""

import os
import signal
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory, assert_copies
from tests.rig import mountinfo
from tests.rig.commands import FANOUTFS, fanoutfs, finish, has_ended, run, wait_until
from tests.rig.copies import BLOCK, SLOWLY, Copies, lines
from tests.rig.images import MIB, assert_same
from tests.rig.mounts import Mount
from tests.rig.readers import Spawn, hold
from tests.rig.refusals import assert_refused

SIZE = 8 * MIB


@pytest.mark.parametrize("by", ["mount", "mount/image", "source"])
def test_a_copy_of_a_mount(by: str, copies: Copies, slow: Mount, spawn: Spawn, work: Path) -> None:
    """Whatever names it, it has the mount's producer, and a `dd` goes on beside it."""
    target = work / "target"
    names = {"mount": slow.point, "mount/image": slow.image, "source": slow.source}
    reader = hold(spawn, slow.image, work / "beside", BLOCK, direct=True)
    copy = copies.start(names[by], target)
    status = copies.wait_for_targets(slow.source, target)
    reader.finish()
    done = copies.finish(copy)

    assert slow.pid == status["pid"]
    assert ["copy", "image"] == sorted(reader["kind"] for reader in status["readers"])
    assert 0 == copies.producers()
    assert list(lines(done)) == [str(target)]
    assert_copies(slow.source, target, work / "beside")


def test_no_other_file_of_a_mount_is_its_image(copies: Copies, slow: Mount, work: Path) -> None:
    """Each is refused, and what to name is said."""
    for name in ("nonsense.img", "image2", "image/x", ".fanoutfs/status", ".fanoutfs/head"):
        done = copies.run(slow.point / name, work / "target", code=1)
        assert_refused(done, slow.point / name, slow.image)
        assert not (work / "target").exists()


def test_a_mount_of_what_is_copied(copies: Copies, source: Path, point: Path, work: Path) -> None:
    """The copy's producer serves it, which the user is told; it is there when the copy is done."""
    target = work / "target"
    copy = copies.start(source, target, *SLOWLY)
    held = copies.hold(source, target, BLOCK)
    producer = copies.wait_for_targets(source, target)["pid"]
    said = fanoutfs("mount", source, point).stderr.decode()
    os.kill(held, signal.SIGCONT)
    run("cp", point / "image", work / "beside")
    copies.finish(copy)
    status = copies.status(source)
    run("cmp", source, point / "image")
    fanoutfs("umount", point)

    assert f"fanoutfs: {source} has a producer already; it serves the mount, with its own settings\n" == said
    assert status is not None
    assert (producer, str(point)) == (status["pid"], status["mountpoint"])
    assert has_ended(producer)
    assert_copies(source, target, work / "beside")


def test_a_mount_taken_down_while_it_is_copied(copies: Copies, slow: Mount, source: Path, work: Path) -> None:
    """`umount` returns at once and says that the producer goes on, until the copies are done."""
    targets = [work / "one", work / "two"]
    one = copies.start(slow.point, targets[0])
    held = copies.hold(source, targets[0], BLOCK)
    two = copies.start(slow.point, targets[1])
    copies.wait_for_targets(source, *targets)
    said = slow.unmount().stderr.decode()
    is_there = not has_ended(slow.pid)
    os.kill(held, signal.SIGCONT)
    for copy in (one, two):
        copies.finish(copy)

    assert f"fanoutfs: {slow.point} is unmounted; its producer goes on for 2 copies\n" == said
    assert is_there
    assert_copies(source, *targets)
    wait_until(lambda: has_ended(slow.pid), "the producer has gone with its last copy")


def test_a_foreground_mount_of_what_is_copied(
    copies: Copies, source: Path, point: Path, spawn: Spawn, work: Path
) -> None:
    """Control-C unmounts and exits 0; the copy goes on."""
    target = work / "target"
    copy = copies.start(source, target, *SLOWLY)
    held = copies.hold(source, target, BLOCK)
    front = spawn(FANOUTFS, "mount", "-f", source, point)
    wait_until(lambda: f" is mounted on {point}" in copies.log_text(), "the producer has seen it answer")
    front.send_signal(signal.SIGINT)
    finish(front)
    is_mounted = bool(mountinfo.at(point))
    status = copies.status(source)
    os.kill(held, signal.SIGCONT)
    copies.finish(copy)

    assert not is_mounted
    assert status is not None
    assert None is status["mountpoint"]
    assert_same(source, target)


def test_a_foreground_mount_ended_while_it_is_copied(
    copies: Copies, source: Path, point: Path, spawn: Spawn, work: Path
) -> None:
    """It was the producer: the copy of the source finds that it has to start one, and ends right."""
    target = work / "target"
    front = spawn(FANOUTFS, "mount", "-f", *SLOWLY, source, point)
    wait_until((point / "image").exists, "the mount answers")
    copy = copies.start(source, target)
    held = copies.hold(source, target, 2 * MIB)
    front.send_signal(signal.SIGINT)
    finish(front)
    os.kill(held, signal.SIGCONT)
    copies.finish(copy)

    assert [] == mountinfo.at(point)
    assert 1 == copies.producers()
    assert_same(source, target)


def test_a_mount_ended_while_a_copy_waits_for_its_reader(
    copies: Copies, slow: Mount, source: Path, spawn: Spawn, work: Path
) -> None:
    """SIGTERM: the reader gets an error; the copy of the source starts another producer, and ends right."""
    target = work / "target"
    slow.expected.append("reader|handle|closing|unmount|ends: ")
    reader = hold(spawn, slow.image, work / "beside", BLOCK, direct=True)
    copy = copies.start(source, target)
    copies.wait_for(
        source,
        lambda status: any(isinstance(reader["waiting"], int) for reader in status["readers"]),
        "the copy waits for the reader",
    )
    os.kill(slow.pid, signal.SIGTERM)
    done = copies.finish(copy)

    assert [str(target)] == list(lines(done))
    assert 0 != reader.finish(code=None).returncode
    assert 1 == copies.producers()
    assert_same(source, target)


def test_a_second_mount_of_what_is_copied(
    copies: Copies, slow: Mount, source: Path, point: Path, work: Path
) -> None:
    """It is refused, naming the first."""
    target = work / "target"
    copy = copies.start(source, target)
    held = copies.hold(source, target, BLOCK)
    refused = fanoutfs("mount", source, point, code=None)
    os.kill(held, signal.SIGCONT)
    copies.finish(copy)

    assert_refused(refused, source, slow.point)
    assert_same(source, target)


def test_a_folder_that_is_no_mount(copies: Copies, point: Path, work: Path) -> None:
    """It is no source, and is named."""
    assert_refused(copies.run(point, work / "target", code=None), point)
    assert not (work / "target").exists()


def test_a_dead_mount(copies: Copies, mount: MountFactory, small: Path, work: Path) -> None:
    """It can't be copied, and is named."""
    mounted = mount(small)
    mounted.kill()
    refused = copies.run(mounted.point, work / "target", code=None)
    mounted.detach()

    assert_refused(refused, mounted.point)
    assert not (work / "target").exists()
