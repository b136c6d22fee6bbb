"""Several commands that start in the same instant, and how long they take."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import attrs

from fanoutfs.units import MIB
from tests.rig import mountinfo
from tests.rig.mounts import Mount

HANGS = 300.0  # seconds; a longer run is abandoned
Command = Sequence[str | Path]


@attrs.frozen
class Run:
    """The result of commands that ran together."""

    seconds: float
    """From the start of all to the end of the last."""
    codes: list[int]
    """The exit code of each command."""


@attrs.define(eq=False)
class Readers:
    """Commands that are ready: each a shell that waits until one pipe closes, and then executes the command.

    So the start of processes is not measured, and the commands start within a millisecond.
    """

    processes: list[subprocess.Popen[bytes]]
    gate: int
    start: float = 0.0

    def go(self) -> None:
        """Start all commands."""
        self.start = time.perf_counter()
        os.close(self.gate)

    def wait(self) -> Run:
        """Wait for the last command; raise TimeoutError if it hangs."""
        with alarm():
            codes = [process.wait() for process in self.processes]
        return Run(time.perf_counter() - self.start, codes)


@contextlib.contextmanager
def readers(commands: Sequence[Command], *read: Mount) -> Iterator[Readers]:
    """Make commands ready; in the end none is left. If anything fails, abort the mounts that they read."""
    gate, opener = os.pipe()
    words = ["sh", "-c", 'read _; exec "$@"', "sh"]
    null = subprocess.DEVNULL
    ready = Readers(
        [
            subprocess.Popen([*words, *command], stdin=gate, stdout=null, stderr=null, start_new_session=True)
            for command in commands
        ],
        opener,
    )
    os.close(gate)
    time.sleep(0.05)
    try:
        yield ready
    except BaseException:
        for mount in read:
            mountinfo.abort(mount.point)
        raise
    finally:
        for process in ready.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def run_together(commands: Sequence[Command], *read: Mount) -> Run:
    """Run commands at once, until the last has ended."""
    with readers(commands, *read) as ready:
        ready.go()
        return ready.wait()


def seconds_of(commands: Sequence[Command], *read: Mount) -> float:
    """Run commands at once; return the seconds until the last has ended. Raise RuntimeError if one fails."""
    run = run_together(commands, *read)
    if any(run.codes):
        raise RuntimeError(f"a reader failed: exit codes {run.codes}")
    return run.seconds


def rate_of(commands: Sequence[Command], size: int, *read: Mount) -> float:
    """Run commands at once that read ``size`` bytes each; return the MiB per second of all together."""
    return len(commands) * size / MIB / seconds_of(commands, *read)


@contextlib.contextmanager
def alarm(seconds: float = HANGS) -> Iterator[None]:
    """Raise TimeoutError after some seconds, by a signal: wait with a time limit checks only every 50 ms."""

    def late(_number: int, _frame: object) -> NoReturn:
        raise TimeoutError(f"the readers hang: not finished after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def dd(source: Path, *words: str) -> list[str | Path]:
    """Return a dd that discards what it reads."""
    return ["dd", f"if={source}", "of=/dev/null", *words]


def compared(image: Path, source: Path, words: tuple[str, ...]) -> list[str | Path]:
    """Return a dd whose output cmp compares with the source; if dd fails, its output is too short for cmp."""
    return ["sh", "-c", 'source=$1; shift; dd "$@" | cmp - "$source"', "sh", source, f"if={image}", *words]
