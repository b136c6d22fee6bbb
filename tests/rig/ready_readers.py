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

from tests.rig import mountinfo
from tests.rig.mounts import Mount

HANGS = 300.0  # seconds; a run that takes longer is given up
Command = Sequence[str | Path]


@attrs.frozen
class Run:
    """What came of commands that ran together."""

    seconds: float
    """From the start of all to the end of the last."""
    codes: list[int]
    """The exit code of each."""


@attrs.define(eq=False)
class Readers:
    """Commands that stand ready, each a shell that waits for one pipe to close and then becomes the command.

    So what it costs to start processes is not measured, and "at once" is to the millisecond.
    """

    processes: list[subprocess.Popen[bytes]]
    gate: int
    start: float = 0.0

    def go(self) -> None:
        """Open the gate."""
        self.start = time.perf_counter()
        os.close(self.gate)

    def wait(self) -> Run:
        """Wait for the last of them; TimeoutError when they hang."""
        with alarm():
            codes = [process.wait() for process in self.processes]
        return Run(time.perf_counter() - self.start, codes)


@contextlib.contextmanager
def readers(commands: Sequence[Command], *read: Mount) -> Iterator[Readers]:
    """Make commands ready; in the end none of them runs, and what they read is aborted if one hung."""
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
    """Run commands at once, to the end of the last."""
    with readers(commands, *read) as ready:
        ready.go()
        return ready.wait()


def seconds_of(commands: Sequence[Command], *read: Mount) -> float:
    """Run commands at once, none of which may fail, and give the seconds until the last has ended."""
    run = run_together(commands, *read)
    if any(run.codes):
        raise RuntimeError(f"a reader failed: exit codes {run.codes}")
    return run.seconds


@contextlib.contextmanager
def alarm(seconds: float = HANGS) -> Iterator[None]:
    """Raise TimeoutError later; a signal, because wait with a time limit looks only every 50 ms."""

    def late(_number: int, _frame: object) -> NoReturn:
        raise TimeoutError(f"the readers hang: not done after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def dd(source: Path, *words: str) -> list[str | Path]:
    """Write down a dd that throws away what it reads."""
    return ["dd", f"if={source}", "of=/dev/null", *words]


def compared(image: Path, source: Path, words: tuple[str, ...]) -> list[str | Path]:
    """Write down a dd whose output cmp holds against the source; a dd that fails is too short for cmp."""
    return ["sh", "-c", 'source=$1; shift; dd "$@" | cmp - "$source"', "sh", source, f"if={image}", *words]
