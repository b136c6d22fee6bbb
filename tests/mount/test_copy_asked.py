"""SIGUSR1 to a copy, and to all of its processes, as `dd` takes it."""

import os
import re
import signal
from pathlib import Path

from fanoutfs.system.ready import readable
from tests.mount.conftest import assert_copies
from tests.rig.commands import wait_until
from tests.rig.copies import BLOCK, SLOWLY, Copies
from tests.rig.images import MIB

SIZE = 8 * MIB


def test_a_copy_is_asked_for_its_progress(copies: Copies, source: Path, work: Path) -> None:
    """A line for each target on stderr, without a terminal, with --no-progress; and the copies are right."""
    targets = [work / "one", work / "two"]
    copy = copies.start(source, *targets, *SLOWLY)
    held = copies.hold(source, targets[0], MIB)
    other = copies.worker(source, targets[1], BLOCK)
    status = copies.status(source)
    assert status is not None
    wait_until(lambda: handles(copy.pid, signal.SIGUSR1), "the command follows its workers")
    for pid in (copy.pid, status["pid"], held, other):
        os.kill(pid, signal.SIGUSR1)
    assert copy.stderr is not None
    stderr = copy.stderr.fileno()
    wait_until(lambda: bool(readable([stderr], 0)), "the command has answered")
    os.kill(held, signal.SIGCONT)
    done = copies.finish(copy)

    for target in targets:
        # The command may not have read the worker's first report.
        line = rf"^fanoutfs: {target}: (joining|copying, \d+%, .*B of 8 MiB)"
        assert re.search(line, done.stderr.decode(), re.MULTILINE)
    assert_copies(source, *targets)


def handles(pid: int, number: int) -> bool:
    """Return whether a process has a handler for a signal."""
    found = re.search(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> (number - 1) & 1)
