"""A signal to a copy without a terminal: the command and all its workers end, and it is said how to go on."""

import os
import signal
from pathlib import Path

import pytest

from tests.mount.conftest import assert_copies
from tests.rig.commands import has_ended, wait_until
from tests.rig.copies import BLOCK, RATE, SLOWLY, SMALL, Copies, lines
from tests.rig.images import MIB, assert_same

SIZE = 8 * MIB


def test_all_of_its_processes_are_interrupted(copies: Copies, source: Path, work: Path) -> None:
    """Exit code 130, how far each target was, and --resume, which finishes them; another copy goes on."""
    targets, other = [work / "one", work / "two"], work / "other"
    copy = copies.start(source, *targets, *SLOWLY)
    held = copies.hold(source, targets[0], BLOCK)
    beside = copies.start(source, other)
    copies.wait_for_targets(source, *targets, other)
    os.kill(held, signal.SIGCONT)
    copies.hold(source, targets[1], 2 * MIB)
    os.killpg(copy.pid, signal.SIGINT)
    done = copies.finish(copy, code=130)
    copies.finish(beside)
    copies.run(source, *targets, "--resume", *SMALL)

    said = lines(done)
    assert all(said[str(target)].startswith("NOT FINISHED: stopped at ") for target in targets)
    assert b"fanoutfs: to finish the others, run the same command again with --resume\n" in done.stderr
    assert b"" == done.stdout
    assert_copies(source, *targets, other)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_command_alone_is_interrupted(
    by: signal.Signals, copies: Copies, source: Path, work: Path
) -> None:
    """It ends its worker, also one that is stopped and can't end itself."""
    target = work / "target"
    copy = copies.start(source, target, *SLOWLY)
    copies.hold(source, target, 2 * MIB)
    os.kill(copy.pid, by)
    done = copies.finish(copy, code=128 + by)

    assert lines(done)[str(target)].startswith("NOT FINISHED: stopped at ")
    assert bytes(BLOCK) == target.read_bytes()[:BLOCK]


def test_one_target_is_done_before(copies: Copies, source: Path, work: Path) -> None:
    """It is good, and said to be, on stdout; the exit code is 130 all the same."""
    good, slow = work / "good", work / "slow"
    copy = copies.start(source, good, slow, "--read-rate", RATE)
    status = copies.wait_for_targets(source, good, slow)
    (worker,) = (reader["pid"] for reader in status["readers"] if reader["target"] == str(good))
    copies.hold(source, slow, MIB)
    # It has left the ring before that, and was flushing.
    wait_until(lambda: has_ended(worker), "the good copy is done")
    os.killpg(copy.pid, signal.SIGINT)
    done = copies.finish(copy, code=130)

    assert done.stdout.decode().startswith(f"{good}: 8 MiB copied in ")
    assert f"{slow}: NOT FINISHED" in done.stderr.decode()
    assert "fanoutfs: 1 of 2 copies are good; 1 not finished" in done.stderr.decode()
    assert_same(source, good)
