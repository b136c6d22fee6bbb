"""Copies of a source that is being replicated already: they join, by whatever name they know it."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.mount.conftest import LoopFactory, PatternFactory, assert_copies
from tests.rig import loops
from tests.rig.commands import fanoutfs
from tests.rig.copies import BLOCK, RATE, SLOWLY, Copies
from tests.rig.images import MIB, pattern
from tests.rig.readers import Spawn, at_once
from tests.rig.refusals import assert_refused

SIZE = 8 * MIB
COUNT = 4


def test_a_late_copy(copies: Copies, pattern_image: PatternFactory, loop: LoopFactory, work: Path) -> None:
    """It begins at the head and goes round; of the source only what it missed is read twice."""
    image = pattern_image(SIZE)
    source, first, late = loop(image), work / "first", work / "late"
    was = loops.bytes_read(source)
    one = copies.start(source, first, *SLOWLY)
    held = copies.hold(source, first, 2 * MIB)
    other = copies.start(source, late)
    copies.wait_for_targets(source, first, late)
    document = json.loads(fanoutfs("status", source, "--json").stdout)
    shown = fanoutfs("status", source).stdout.decode()
    os.kill(held, signal.SIGCONT)
    copies.finish(one)
    said = copies.finish(other).stderr.decode()
    assert_refused(fanoutfs("status", source, code=None), source)

    by_target = {reader["target"]: reader for reader in document["readers"]}
    start = by_target[str(late)]["start"]
    assert all(f" {reader['pid']} " in shown for reader in document["readers"])
    assert {"copy"} == {reader["kind"] for reader in document["readers"]}
    assert 0 == by_target[str(first)]["start"]
    assert 2 * MIB <= start < SIZE
    assert SIZE < loops.bytes_read(source) - was <= SIZE + start
    assert 1 == copies.producers()
    assert said.startswith(f"fanoutfs: {source} is being read already: joining at ")
    assert_copies(image, first, late)


def test_block_0_comes_last(copies: Copies, source: Path, backing: Path, device: Path, work: Path) -> None:
    """Until all else is written zeros stand there, on a file and on a disk that had something else."""
    file = work / "file"
    file.write_bytes(os.urandom(SIZE))
    copy = copies.start(source, file, device, *SLOWLY)
    workers = [copies.hold(source, target, 3 * MIB) for target in (file, device)]
    on_the_way = [(read(target, 0, BLOCK), read(target, BLOCK, 2 * BLOCK)) for target in (file, device)]
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    copies.finish(copy)

    assert [(bytes(BLOCK), pattern(BLOCK, 2 * BLOCK))] * 2 == on_the_way
    assert_copies(source, file, backing)


@pytest.mark.parametrize("by", ["symbolic link", "hard link", "another node"])
def test_one_source_by_two_names(
    by: str, copies: Copies, pattern_image: PatternFactory, loop: LoopFactory, work: Path
) -> None:
    """Both copies have one producer, who reads it once."""
    image = work / "image"
    os.link(pattern_image(SIZE), image)
    source, other = (loop(image) if by == "another node" else image), work / "other"
    if by == "symbolic link":
        other.symlink_to(source)
    elif by == "hard link":
        os.link(source, other)
    else:
        os.mknod(other, 0o600 | 0o060000, source.stat().st_rdev)
    targets = [work / "one", work / "two"]
    one = copies.start(source, targets[0], *SLOWLY)
    held = copies.hold(source, targets[0], BLOCK)
    two = copies.start(other, targets[1], *SLOWLY)
    status = copies.wait_for_targets(source, *targets)
    os.kill(held, signal.SIGCONT)
    for copy in (one, two):
        copies.finish(copy)

    assert [SIZE, SIZE] == [reader["left"] + reader["delivered"] for reader in status["readers"]]
    assert 1 == copies.producers()
    assert_copies(image, *targets)


def test_copies_in_the_same_instant(
    copies: Copies, pattern_image: PatternFactory, loop: LoopFactory, spawn: Spawn, work: Path
) -> None:
    """From nothing: one becomes the producer and reads the source once, all copies are right."""
    image = pattern_image(SIZE)
    source, targets = loop(image), [work / str(number) for number in range(COUNT)]
    was = loops.bytes_read(source)
    commands = [copies.command(source, target, "--read-rate", RATE, "--patience", 60) for target in targets]
    processes = [copies.keep(process) for process in at_once(spawn, commands)]
    first = copies.wait_for(source, lambda status: status["readers"] != [], "one copies")["readers"][0]
    os.kill(first["pid"], signal.SIGSTOP)  # a late copy still finds the producer
    late = processes[targets.index(Path(first["target"]))]
    for process in processes:
        if process is not late:
            copies.finish(process)
    os.kill(first["pid"], signal.SIGCONT)
    copies.finish(late)

    assert 1 == copies.producers()
    assert SIZE == loops.bytes_read(source) - was
    assert_copies(image, *targets)


def read(path: Path, offset: int, length: int) -> bytes:
    """Read what is there now, through a new descriptor."""
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        return file.read(length)
