"""Copy commands for measurements: how to start and time them, and whether their targets are copies."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import attrs

from fanoutfs.units import MIB
from tests.rig.copy_watch import wait_until_left
from tests.rig.limited import within
from tests.rig.ready_readers import alarm
from tests.rig.timed_readers import POLL

BYTECODE = Path(tempfile.gettempdir()) / f"fanoutfs-bench-bytecode-{os.getuid()}"
ZEROS = bytes(8 * MIB)


@attrs.define(eq=False)
class Copy:
    """A running command."""

    process: subprocess.Popen[bytes]
    start: float
    """When it was started, on the monotonic clock like all times here."""
    _output: IO[bytes]

    @classmethod
    def begin(cls, command: Sequence[str | Path]) -> "Copy":
        """Start a command in a new session."""
        output = tempfile.TemporaryFile()  # noqa: SIM115 (it is open as long as the command runs)
        start = time.monotonic()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env=environment(),
        )
        return cls(process, start, output)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def wait(self) -> int:
        """Wait for its end; return its exit code."""
        return self.process.wait()

    def succeeded(self) -> bool:
        """Wait for its end; return whether it succeeded, and print its output if not."""
        if self.wait():
            print(f"failed: {self.process.args!r}: {self.output()}")
        return not self.wait()

    def seconds(self) -> float:
        """Wait for its end; return how long it ran. Raise RuntimeError if it failed."""
        code = self.wait()
        seconds = time.monotonic() - self.start
        if code:
            raise RuntimeError(f"exit {code}: {self.process.args!r}: {self.output()}")
        return seconds

    def output(self) -> str:
        """Return what it has written to stdout and stderr so far."""
        self._output.seek(0)
        return self._output.read().decode()

    def kill(self) -> None:
        """Kill the command itself (SIGKILL), none of its workers, and reap it."""
        self.process.kill()
        self.process.wait()


@attrs.define(eq=False)
class Copies:
    """Copy commands with the same source."""

    program: Path
    source: Path
    started: list[Copy] = attrs.field(factory=list, init=False)

    def start(self, targets: Sequence[Path], *options: str, groups: Sequence[Path] = ()) -> Copy:
        """Start a copy command, in these cgroups."""
        argv = ("copy", "--yes", "--no-progress", *options)
        command: list[str | Path] = [self.program, *argv, self.source, *targets]
        copy = Copy.begin(within(groups, command) if groups else command)
        self.started.append(copy)
        return copy

    @property
    def running(self) -> bool:
        """Whether one of them has not ended."""
        return any(copy.running for copy in self.started)


@contextlib.contextmanager
def copies(program: Path, source: Path, seconds: float = 300.0) -> Iterator[Copies]:
    """Start copy commands; at the end, kill those that still run, and wait until their producer has left.

    Raise TimeoutError after some seconds.
    """
    made = Copies(program, source)
    try:
        with alarm(seconds):
            yield made
    finally:
        end_all(made.started)
        wait_until_left(source)


def environment() -> dict[str, str]:
    """Return an environment in which a command finds its bytecode, as an installed program does.

    With PYTHONDONTWRITEBYTECODE, an editable installation is compiled at each start, which takes 0.1 s.
    """
    found = dict(os.environ)
    if found.pop("PYTHONDONTWRITEBYTECODE", ""):
        found["PYTHONPYCACHEPREFIX"] = str(BYTECODE)
    return found


def end_all(started: Iterable[Copy]) -> None:
    """Kill the commands that still run, and reap all."""
    for copy in started:
        if copy.running:
            print(f"killed because it still ran: {copy.process.args!r}; its output: {copy.output()!r}")
            os.killpg(copy.process.pid, signal.SIGKILL)
        copy.process.wait()


def nothing() -> None:
    """Do nothing between two polls."""


def join(
    at: Sequence[float], begin: Callable[[int], Copy], look: Callable[[], object] = nothing
) -> list[Copy]:
    """Start commands at these seconds after the first; ``begin`` gets each one's number."""
    begun: list[Copy] = []
    for number, seconds in enumerate(at):
        while begun and time.monotonic() < begun[0].start + seconds:
            look()
            time.sleep(POLL)
        begun.append(begin(number))
    return begun


def ends(begun: Sequence[Copy], look: Callable[[], object] = nothing) -> list[float]:
    """Wait for commands; return when each ended."""
    found: dict[int, float] = {}
    while len(found) < len(begun):
        look()
        now = time.monotonic()
        found |= {n: now for n, copy in enumerate(begun) if n not in found and not copy.running}
        time.sleep(POLL)
    return [found[number] for number in range(len(begun))]


def same(target: Path, source: Path) -> bool:
    """Return whether a target begins with all bytes of the source."""
    size = str(source.stat().st_size)
    command: list[str | Path] = ["cmp", "--silent", "--bytes", size, target, source]
    return subprocess.run(command, check=False).returncode == 0


def checked(source: Path, targets: Sequence[Path], run: Callable[[], float]) -> float:
    """Return the result of ``run``, which copies to existing targets; raise RuntimeError for a wrong copy."""
    for target in targets:
        zeroed(target, source.stat().st_size)
    figure = run()
    if not all(same(target, source) for target in targets):
        raise RuntimeError("a copy is wrong")
    return figure


def zeroed(path: Path, size: int) -> Path:
    """Write a target that exists before its copy: zeros that have their memory, nothing of an older copy."""
    with path.open("r+b" if path.exists() else "wb") as file:
        for offset in range(0, size, len(ZEROS)):
            file.write(memoryview(ZEROS)[: size - offset])
        file.truncate(size)
    return path
