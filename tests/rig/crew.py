"""Readers that begin when told to, each timed on its own and held against the source (checking_reader.py).

They stand ready as processes before the first begins, so that a start costs no more than an open.
"""

import bisect
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs

from tests.rig import mountinfo
from tests.rig.harness import Options
from tests.rig.limited import LimitedSource, limited_mount, limited_source
from tests.rig.mounts import Mount
from tests.rig.ready_readers import alarm

PROGRAM = Path(__file__).parent / "checking_reader.py"
POLL = 0.005  # seconds between two looks at what is waited for
DD = ("bs=1M",)


@attrs.frozen
class Report:
    """What came of a reader; see checking_reader.py."""

    start: float
    first: int
    right: bool
    times: list[float]
    totals: list[int]

    @property
    def end(self) -> float:
        """When its last byte came."""
        return self.times[-1] if self.times else self.start

    @property
    def seconds(self) -> float:
        """From its start to its last byte."""
        return self.end - self.start

    def longest_gap(self) -> float:
        """Give the longest time without a byte, the wait for its first included, in seconds."""
        return max(
            (after - before for before, after in zip([self.start, *self.times], self.times, strict=False)),
            default=0.0,
        )

    def next_after(self, moment: float) -> float:
        """Give the seconds from a moment to its next byte; 0 when it had them all."""
        found = bisect.bisect_right(self.times, moment)
        return self.times[found] - moment if found < len(self.times) else 0.0


@attrs.define(eq=False)
class Reader:
    """A process that reads; its pid is that of the dd, once it has begun."""

    process: subprocess.Popen[str]
    pid: int = 0

    def go(self) -> None:
        """Let it begin; returns when it has opened its file."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.pid = int(self.process.stdout.readline())

    def report(self) -> Report:
        """Wait for its end."""
        written, _ = self.process.communicate()
        return Report(**json.loads(written))


@attrs.define(eq=False)
class Crew:
    """The readers of one run."""

    source: Path
    readers: list[Reader] = attrs.field(factory=list, init=False)

    def ready(self, file: Path, *words: str, groups: Sequence[Path] = (), **chosen: float) -> Reader:
        """Make a reader of ``file`` ready, a dd when there are words for it, which enters the cgroups.

        ``chosen`` are more options of checking_reader.py.
        """
        options = [f"--{name}={value}" for name, value in chosen.items()]
        options += [f"--group={group}" for group in groups]
        command: list[str | Path] = [sys.executable, "-I", "-S", PROGRAM, *options, "--", file, self.source]
        command += words
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
        reader = Reader(process)
        self.readers.append(reader)
        assert process.stdout is not None
        process.stdout.readline()
        return reader

    def wait(self) -> list[Report]:
        """Wait for all of them."""
        return [reader.report() for reader in self.readers]


@contextlib.contextmanager
def crew(source: Path, mount: Mount | None, seconds: float = 300.0) -> Iterator[Crew]:
    """Have readers; none is left in the end, and the mount is aborted when it takes too long (seconds)."""
    made = Crew(source)
    try:
        with alarm(seconds):
            yield made
    except BaseException:
        if mount is not None:
            mountinfo.abort(mount.point)
        raise
    finally:
        for reader in made.readers:
            if reader.process.poll() is None:
                os.killpg(reader.process.pid, signal.SIGKILL)
            reader.process.communicate()


@attrs.frozen
class Stage:
    """A limited source, mounted, and readers."""

    source: LimitedSource
    mount: Mount
    crew: Crew
    size: int

    def share(self) -> float:
        """Give what the kernel has read of the source, to its size."""
        return self.source.bytes_read() / self.size

    def wait_for_head(self, part: float) -> None:
        """Wait until the producer's first turn has come to this part of the image."""
        wait_until(lambda: self.mount.head() >= part * self.size)


@contextlib.contextmanager
def stage(chosen: Options, file: Path, *words: str, steady: bool = False) -> Iterator[Stage]:
    """Mount a file behind a limited device, with more options of mount; ``steady``: see limited.py."""
    with (
        limited_source(file) as source,
        limited_mount(chosen.fanoutfs, source, chosen.ring, *words, steady=steady) as mount,
        crew(file, mount) as made,
    ):
        yield Stage(source, mount, made, chosen.size)


def wait_until(fact: Callable[[], bool]) -> None:
    """Look until something is so; within crew(), which ends the wait."""
    while not fact():
        time.sleep(POLL)
