"""`fanoutfs copy`, started and watched by what its producer says; and whether a target is a copy."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

import attrs

from fanoutfs.engine.query import ask_status
from fanoutfs.errors import FanoutError
from fanoutfs.status.document import StatusDocument
from fanoutfs.system.identity import identity_of
from fanoutfs.units import MIB
from tests.rig.ready_readers import alarm
from tests.rig.timed_readers import POLL

BYTECODE = Path(tempfile.gettempdir()) / f"fanoutfs-bench-bytecode-{os.getuid()}"
LEAVES = 10.0  # seconds that a producer may take to leave after its last consumer
ZEROS = bytes(8 * MIB)


@attrs.define(eq=False)
class Copy:
    """A running command."""

    process: subprocess.Popen[bytes]
    start: float
    """When it was started; of the monotonic clock, as all times here."""
    _heard: IO[bytes]

    @classmethod
    def begin(cls, command: Sequence[str | Path]) -> "Copy":
        """Start a command, in a session of its own."""
        heard = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the command)
        start = time.monotonic()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=heard,
            stderr=heard,
            start_new_session=True,
            env=environment(),
        )
        return cls(process, start, heard)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def wait(self) -> int:
        """Wait for its end; gives its exit code."""
        return self.process.wait()

    def said(self) -> str:
        """Give what it has written so far, to stdout and stderr."""
        self._heard.seek(0)
        return self._heard.read().decode()

    def kill(self) -> None:
        """Kill the command itself (SIGKILL), none of its workers, and reap it."""
        self.process.kill()
        self.process.wait()


@attrs.define(eq=False)
class Copies:
    """Commands that copy one source."""

    program: Path
    source: Path
    started: list[Copy] = attrs.field(factory=list, init=False)

    def start(self, targets: Sequence[Path], *words: str, groups: Sequence[Path] = ()) -> Copy:
        """Start a command, in these cgroups."""
        command: list[str | Path] = [
            self.program, "copy", "--yes", "--no-progress", *words, self.source, *targets,
        ]  # fmt: skip
        if groups:
            enter = "".join(f"echo $$ > {group}/cgroup.procs && " for group in groups)
            command = ["sh", "-c", enter + 'exec "$@"', "sh", *command]
        copy = Copy.begin(command)
        self.started.append(copy)
        return copy

    @property
    def running(self) -> bool:
        """Whether one of them has not ended."""
        return any(copy.running for copy in self.started)


def environment() -> dict[str, str]:
    """Give the environment of a command: an installed program has its bytecode, so this one gets it, too.

    Where PYTHONDONTWRITEBYTECODE is set, an editable one is compiled at each start, which takes 0.1 s.
    """
    found = dict(os.environ)
    if found.pop("PYTHONDONTWRITEBYTECODE", ""):
        found["PYTHONPYCACHEPREFIX"] = str(BYTECODE)
    return found


def end_all(started: Iterable[Copy]) -> None:
    """End the commands: kill those that still run, and wait for all."""
    for copy in started:
        if copy.running:
            print(f"killed, as it had not ended: {copy.process.args!r}; it has said: {copy.said()!r}")
            os.killpg(copy.process.pid, signal.SIGKILL)
        copy.process.wait()


@contextlib.contextmanager
def copies(program: Path, source: Path, seconds: float = 300.0) -> Iterator[Copies]:
    """Start commands; in the end none runs, and TimeoutError when that takes too long (seconds).

    The producer leaves with the last of them, unless somebody else has it; that is waited for.
    """
    made = Copies(program, source)
    last = Watch.of(source)
    try:
        with alarm(seconds):
            yield made
    finally:
        end_all(made.started)
        last.wait_until_left()


def producer_of(source: Path) -> StatusDocument | None:
    """Give the status document of a source's producer; None when there is none, or it is just leaving."""
    try:
        return ask_status(identity_of(source.stat()))
    except FanoutError:
        return None


@attrs.define(eq=False)
class Seen:
    """What the producer has said of one target."""

    joined: float
    """When it was first seen there."""
    start: int | None
    """The byte of the image at which it began."""
    position: int = 0
    left: int = 0
    pid: int = 0
    ended: float | None = None
    """When it had all of its bytes, or was gone."""


@attrs.define(eq=False)
class Watch:
    """What a source's producer says each time it is looked at; a look takes it about a millisecond."""

    source: Path
    targets: dict[str, Seen] = attrs.field(factory=dict, init=False)
    producers: set[int] = attrs.field(factory=set, init=False)
    head: int = attrs.field(default=0, init=False)

    @classmethod
    def of(cls, source: Path) -> "Watch":
        """Watch a source."""
        return cls(source)

    def look(self) -> bool:
        """Look once; says whether there is a producer."""
        status = producer_of(self.source)
        now = time.monotonic()
        readers = {} if status is None else {r.target: r for r in status.readers if r.target}
        for target, reader in readers.items():
            seen = self.targets.setdefault(target, Seen(now, reader.start))
            seen.position, seen.left, seen.pid = reader.position, reader.left, reader.pid
        for target, seen in self.targets.items():
            if seen.ended is None and (target not in readers or seen.left == 0):
                seen.ended = now
        if status is not None:
            self.producers.add(status.pid)
            self.head = status.head
        return status is not None

    def follow(self, copies: Copies) -> None:
        """Look until all commands have ended."""
        while copies.running:
            self.look()
            time.sleep(POLL)
        self.look()

    def wait_until_left(self) -> None:
        """Wait until the producer has gone, if nobody else has it."""
        until = time.monotonic() + LEAVES
        while (status := producer_of(self.source)) is not None and not status.mountpoint:
            if time.monotonic() > until:
                print(f"the producer {status.pid} has not left: {status.readers}")
                return
            time.sleep(POLL)


def same(target: Path, source: Path) -> bool:
    """Say whether the first bytes of a target, as many as the source has, are the source's."""
    size = str(source.stat().st_size)
    command: list[str | Path] = ["cmp", "--silent", "--bytes", size, target, source]
    return subprocess.run(command, check=False).returncode == 0


def written_before(path: Path, size: int) -> Path:
    """Make a file of zeros that has its memory, as a target that is there already.

    Nothing of it is a copy: what was copied to it before is gone.
    """
    with path.open("r+b" if path.exists() else "wb") as file:
        for offset in range(0, size, len(ZEROS)):
            file.write(memoryview(ZEROS)[: size - offset])
        file.truncate(size)
    return path
