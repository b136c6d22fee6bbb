"""Targets that hang, or are slower than anybody's patience: they hold nobody, and their copies are right."""

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.mount.conftest import LoopFactory, MountFactory, PatternFactory, assert_copies
from tests.rig.commands import run, start
from tests.rig.copies import BLOCK, SLOWLY, SMALL, Copies, lines
from tests.rig.images import MIB
from tests.rig.limited import BLKIO, control_group, within
from tests.rig.readers import Spawn, hold

SIZE = 8 * MIB
LIMIT = "blkio.throttle.write_bps_device"
SLOW = MIB
"""Bytes per second of the limited disk."""

LimitedFactory = Callable[[Path], Path]


@pytest.fixture
def limited(sources: ExitStack, loop: LoopFactory) -> LimitedFactory:
    """Make a cgroup whose processes write a disk slowly; skip the test where the kernel has none."""

    def limit(disk: Path) -> Path:
        if not (BLKIO / LIMIT).exists():
            pytest.skip(f"no cgroup (version 1) with {LIMIT} here: no disk can be made slow")
        number = Path("/sys/block", disk.name, "dev").read_text().strip()
        return sources.enter_context(control_group(BLKIO, "target", LIMIT, f"{number} {SLOW}"))

    return limit


def test_a_worker_stopped_for_longer_than_the_patience(copies: Copies, source: Path, work: Path) -> None:
    """The others are done meanwhile, with the slots that it had; its copy is right when it goes on."""
    stopped, other, third = work / "stopped", work / "other", work / "third"
    copy = copies.start(source, stopped, other, *SMALL, "--read-rate", SIZE, "--patience", 1)
    pid = copies.hold(source, stopped, MIB)
    alone = copies.wait_for_targets(source, stopped)
    copies.run(source, third, "--resume")
    status = copies.wait_for_targets(source, stopped)
    os.kill(pid, signal.SIGCONT)
    copies.finish(copy)

    (reader,) = alone["readers"]
    assert (False, pid) == (reader["live"], reader["pid"])
    assert 0 == status["gauges"]["granted"]
    assert reader["position"] == status["readers"][0]["position"]
    assert_copies(source, stopped, other, third)


def test_a_free_pace(copies: Copies, source: Path, work: Path) -> None:
    """Nobody waits for a worker that is stopped, whatever the patience; what it finds gone is read again."""
    stopped, other = work / "stopped", work / "other"
    copy = copies.start(source, stopped, other, *SLOWLY, "--pace", "free")
    pid = copies.hold(source, stopped, BLOCK)
    alone = copies.wait_for_targets(source, stopped)
    os.kill(pid, signal.SIGCONT)
    copies.finish(copy)

    assert alone["readers"][0]["delivered"] < SIZE // 2
    assert_copies(source, stopped, other)


def test_a_target_slower_than_the_patience(
    copies: Copies,
    mount: MountFactory,
    pattern_image: PatternFactory,
    loop: LoopFactory,
    limited: LimitedFactory,
    spawn: Spawn,
    work: Path,
) -> None:
    """While it is being written the slot gets other bytes; that block is written again, and nobody waits.

    Both begin near the end of the image: blocks there are the first to be given up when others are at its
    beginning.
    """
    source, backing, fast = pattern_image(3 * MIB), work / "backing", work / "fast"
    backing.write_bytes(os.urandom(3 * MIB))
    slow = loop(backing)
    mounted = mount(source, "--block", "512K", "--ring", "1536K", "--patience", 0.1)
    reader = hold(spawn, mounted.image, work / "beside", 2 * MIB, direct=True)
    words = [str(word) for word in copies.command(mounted.point, "--yes", slow, fast)]
    copy = copies.keep(start(*within([limited(slow)], words)))
    both = copies.wait_for_targets(source, slow, fast)
    for _ in range(3):
        run("cmp", source, mounted.image)
    alone = copies.wait_for_targets(source, slow)
    reader.finish()
    done = copies.finish(copy)

    assert all(entry["start"] >= 2 * MIB for entry in both["readers"] if entry["kind"] == "copy")
    assert next(entry["delivered"] for entry in alone["readers"] if entry["kind"] == "copy") <= 2 * MIB
    assert [str(slow), str(fast)] == list(lines(done))
    assert_copies(source, fast, backing)
