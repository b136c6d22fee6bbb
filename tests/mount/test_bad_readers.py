"""Readers that die, stop or never read: the others finish, and what they held comes free."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory, assert_copies
from tests.rig.commands import Process, finish, wait_until
from tests.rig.images import MIB, assert_same, check_pattern
from tests.rig.mounts import Mount
from tests.rig.readers import Held, Spawn, goes_soon, hold

SIZE = 24 * MIB + 1234
both_ways = pytest.mark.parametrize("direct", [False, True], ids=["cached", "direct"])


def dd(spawn: Spawn, image: Path, copy: Path, *, direct: bool = True) -> Process:
    """Start a dd."""
    way = ["iflag=direct"] if direct else []
    return spawn("dd", f"if={image}", f"of={copy}", "bs=1M", "status=none", *way)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_waiting_reader_interrupted(by: signal.Signals, patient: Mount, spawn: Spawn, work: Path) -> None:
    """Control-C on a `dd` whose direct read waits for another reader ends it, though that one stands."""
    behind = hold(spawn, patient.image, work / "behind", 2 * MIB, direct=True)
    waiting = dd(spawn, patient.image, work / "waiting")
    wait_until(patient.is_paced, "the front reader waits")
    waiting.send_signal(by)
    assert goes_soon(waiting)
    behind.finish()
    assert_same(patient.source, behind.copy)


def test_a_reader_stopped_in_the_middle_of_its_reads(
    mount: MountFactory, source: Path, spawn: Spawn, work: Path
) -> None:
    """A `dd` that is stopped and continued again and again, wherever it is, makes the right copy."""
    mounted = mount(source, "--patience", 1)
    stopped = spawn("dd", f"if={mounted.image}", f"of={work / 'stopped'}", "bs=4K", "status=none")
    others = [dd(spawn, mounted.image, work / str(number), direct=bool(number)) for number in range(2)]
    for _ in range(5):
        stopped.send_signal(signal.SIGSTOP)
        time.sleep(0.1)
        stopped.send_signal(signal.SIGCONT)
        time.sleep(0.01)
    for number, process in enumerate(others):
        finish(process)
        assert_same(source, work / str(number))
    finish(stopped)
    assert_same(source, work / "stopped")


def test_a_handle_that_looked_at_the_end_only(patient: Mount, source: Path, spawn: Spawn, work: Path) -> None:
    """A probe of the last bytes, its handle kept open, holds nobody."""
    with patient.image.open("rb", buffering=0) as probe:
        probe.seek(-1000, os.SEEK_END)
        check_pattern(probe.read(1000), SIZE - 1000)
        finish(dd(spawn, patient.image, work / "copy"))
    assert_same(source, work / "copy")


def test_the_patience_is_what_was_asked_for(
    mount: MountFactory, source: Path, spawn: Spawn, work: Path
) -> None:
    """A silent reader stops the others for the patience, and not for ever."""
    patience = 2
    mounted = mount(source, "--patience", patience)
    began = time.monotonic()
    silent = hold(spawn, mounted.image, work / "silent", 2 * MIB, direct=True)
    finish(dd(spawn, mounted.image, work / "copy"))
    assert patience <= time.monotonic() - began
    silent.finish()
    assert_copies(source, silent.copy, work / "copy")


def test_many_readers_die_at_once(patient: Mount, source: Path, spawn: Spawn, work: Path) -> None:
    """Ten readers killed where they stand leave nothing behind; the next one is right."""
    slow: list[Held] = [
        hold(spawn, patient.image, work / str(n), MIB + n * 4096, direct=bool(n % 2)) for n in range(5)
    ]
    busy = [dd(spawn, patient.image, work / f"busy{number}", direct=bool(number % 2)) for number in range(5)]
    for process in [*[reader.process for reader in slow], *busy]:
        process.kill()
    for process in [*[reader.process for reader in slow], *busy]:
        assert goes_soon(process)
    wait_until(patient.is_idle, "all ten are forgotten")
    finish(dd(spawn, patient.image, work / "next"))
    assert_same(source, work / "next")
