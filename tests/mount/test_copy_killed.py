"""Copies whose command, worker or producer is killed in the middle: which fail, and how to finish them."""

import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fanoutfs.units import format_size
from tests.mount.conftest import assert_copies, missing
from tests.rig.commands import has_ended, wait_until
from tests.rig.copies import BLOCK, SLOWLY, SMALL, Copies, lines, written
from tests.rig.images import MIB, assert_same
from tests.rig.loops import bytes_written
from tests.rig.mounts import Mount

SIZE = 8 * MIB


def joined_again(copies: Copies, source: Path, targets: Sequence[Path]) -> dict[str, int]:
    """Wait until all have come to one producer, also who is done by the time that another comes.

    Return where each began.
    """
    starts: dict[str, int] = {}
    producers = set()

    def all_have(status: dict[str, Any]) -> bool:
        starts.update({reader["target"]: reader["start"] for reader in status["readers"]})
        producers.add(status["pid"])
        return len(starts) == len(targets)

    copies.wait_for(source, all_have, "all have joined again")
    assert 1 == len(producers)
    return starts


def test_the_command_killed(copies: Copies, source: Path, backing: Path, device: Path, work: Path) -> None:
    """Its workers end at once and free all; the others go on; --resume writes what is missing alone."""
    other, file = work / "other", work / "file"
    killed = copies.start(source, file, device, *SLOWLY)
    held = copies.hold(source, file, BLOCK)
    beside = copies.start(source, other)
    status = copies.wait_for_targets(source, file, device, other)
    os.kill(held, signal.SIGCONT)
    workers = {reader["target"]: reader["pid"] for reader in status["readers"]}
    copies.hold(source, device, 3 * MIB)
    goes_on = copies.hold(source, other, BLOCK)
    killed.kill()
    killed.wait()
    wait_until(lambda: all(has_ended(workers[str(target)]) for target in (file, device)), "they end")
    copies.wait_for_targets(source, other)
    os.kill(goes_on, signal.SIGCONT)
    copies.finish(beside)
    lacks = [BLOCK * len(missing(source, target)) for target in (file, backing)]
    was = bytes_written(device)
    said = lines(copies.run(source, file, device, "--resume", *SMALL))

    assert_same(source, other)
    assert all(0 < lack <= SIZE - 2 * MIB for lack in lacks)
    assert [format_size(lack) for lack in lacks] == [written(said[str(target)]) for target in (file, device)]
    assert lacks[1] == bytes_written(device) - was
    assert_copies(source, file, backing)


def test_a_worker_killed(copies: Copies, source: Path, work: Path) -> None:
    """Its target is named and unfinished; the others are good, and the exit code is 1."""
    targets = [work / "one", work / "two", work / "three"]
    copy = copies.start(source, *targets, *SLOWLY)
    os.kill(copies.hold(source, targets[1], 2 * MIB), signal.SIGKILL)
    done = copies.finish(copy, code=1)

    assert f"{targets[1]}: FAILED: its process was killed (SIGKILL, by a user or " in done.stderr.decode()
    assert "fanoutfs: 2 of 3 copies are good; 1 failed; " in done.stderr.decode()
    assert "--resume" in done.stderr.decode()
    good = [line.partition(": ")[0] for line in done.stdout.decode().splitlines()]
    assert [str(targets[0]), str(targets[2])] == good
    assert bytes(BLOCK) == targets[1].read_bytes()[:BLOCK]
    assert_copies(source, targets[0], targets[2])


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM])
def test_the_producer_killed(by: signal.Signals, copies: Copies, source: Path, work: Path) -> None:
    """The copies of two commands find, or start, one other and go on where they were."""
    targets = [work / "one", work / "two", work / "three"]
    first = copies.start(source, *targets[:2], *SLOWLY)
    held = copies.hold(source, targets[0], BLOCK)
    second = copies.start(source, targets[2], *SLOWLY)
    before = copies.wait_for_targets(source, *targets)
    os.kill(held, signal.SIGCONT)
    held = copies.hold(source, targets[2], MIB)
    os.kill(before["pid"], by)
    wait_until(lambda: has_ended(before["pid"]), "the producer has ended")
    os.kill(held, signal.SIGCONT)
    after = joined_again(copies, source, targets)
    for copy in (first, second):
        copies.finish(copy)

    assert 2 == copies.producers()
    assert {reader["target"]: reader["start"] for reader in before["readers"]} == after
    assert_copies(source, *targets)


def test_the_producer_of_a_mount_killed(copies: Copies, slow: Mount, source: Path, work: Path) -> None:
    """Nobody can take its place: a copy of the mount fails, and says so."""
    target = work / "target"
    copy = copies.start(slow.point, target)
    held = copies.hold(source, target, MIB)
    slow.kill()
    os.kill(held, signal.SIGCONT)
    done = copies.finish(copy, code=1)
    slow.detach()

    said = lines(done)[str(target)]
    assert said.startswith("FAILED: ")
    assert f"the mount on {slow.point} " in said
    assert b"" == done.stdout
    assert bytes(BLOCK) == target.read_bytes()[:BLOCK]


@pytest.mark.parametrize("times", [3, pytest.param(12, marks=pytest.mark.soak)])
def test_a_copy_killed_again_and_again(times: int, copies: Copies, source: Path, work: Path) -> None:
    """Each --resume comes farther, and the last one ends right."""
    target = work / "target"
    lacks = [SIZE]
    for _ in range(times):
        copy = copies.start(source, target, "--resume", *SLOWLY)
        worker = copies.hold(source, target, SIZE - lacks[-1] + MIB)
        copy.kill()
        copy.wait()
        wait_until(partial(has_ended, worker), "its worker has ended")
        lacks.append(BLOCK * len(missing(source, target)))
    said = lines(copies.run(source, target, "--resume", *SMALL))[str(target)]

    assert sorted(set(lacks), reverse=True) == lacks
    assert format_size(lacks[-1]) == written(said)
    assert_same(source, target)
