"""Readers that start when told to, each timed on its own and compared with the source (checking_reader.py).

Their processes are ready before the first one starts, so that a start costs no more than an open.
"""

import bisect
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import attrs

from tests.rig import mountinfo
from tests.rig.limited import within
from tests.rig.mounts import Mount
from tests.rig.ready_readers import alarm

PROGRAM = Path(__file__).parent / "checking_reader.py"
POLL = 0.005  # seconds between two checks of a condition
DD = ("bs=1M",)


@attrs.frozen
class Report:
    """What a reader measured; see checking_reader.py."""

    start: float
    first: int
    right: bool
    times: list[float]
    totals: list[int]

    @property
    def end(self) -> float:
        """When its last byte arrived."""
        return self.times[-1] if self.times else self.start

    @property
    def seconds(self) -> float:
        """From its start to its last byte."""
        return self.end - self.start

    def longest_gap(self) -> float:
        """Return the longest time without a byte, in seconds; the wait for the first byte counts."""
        return max((after - before for before, after in pairwise([self.start, *self.times])), default=0.0)

    def next_after(self, moment: float) -> float:
        """Return the seconds from a moment to the next byte; 0 if the reader had all bytes by then."""
        found = bisect.bisect_right(self.times, moment)
        return self.times[found] - moment if found < len(self.times) else 0.0


@attrs.define(eq=False)
class TimedReader:
    """A process that reads; once started, its pid is that of the dd, if there is one."""

    process: subprocess.Popen[str]
    pid: int = 0

    def go(self) -> None:
        """Start to read; return when the file is open."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.pid = int(self.process.stdout.readline())

    def report(self) -> Report:
        """Wait for the reader's end."""
        written, _ = self.process.communicate()
        return Report(**json.loads(written))


@attrs.define(eq=False)
class TimedReaders:
    """The readers of one run."""

    source: Path
    all: list[TimedReader] = attrs.field(factory=list, init=False)

    def ready(self, file: Path, *words: str, groups: Sequence[Path] = (), **options: float) -> TimedReader:
        """Make a reader of ``file`` ready; with ``words``, a dd with these, in the cgroups.

        ``options`` are those of checking_reader.py.
        """
        chosen = [f"--{name}={value}" for name, value in options.items()]
        command: list[str | Path] = [sys.executable, "-I", "-S", PROGRAM, *chosen, "--", file, self.source]
        if words:
            source = () if file.name == "carousel" else (f"if={file}",)
            command += within(groups, ["dd", *source, *words, "status=none"])
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
        reader = TimedReader(process)
        self.all.append(reader)
        assert process.stdout is not None
        process.stdout.readline()
        return reader

    def go(self, apart: float = 0.0) -> None:
        """Start all of them, ``apart`` seconds apart."""
        start = time.monotonic()
        for number, reader in enumerate(self.all):
            time.sleep(max(0.0, start + number * apart - time.monotonic()))
            reader.go()

    def wait(self) -> list[Report]:
        """Wait for all of them."""
        return [reader.report() for reader in self.all]


@contextlib.contextmanager
def timed_readers(source: Path, mount: Mount | None, seconds: float = 300.0) -> Iterator[TimedReaders]:
    """Run readers; in the end none is left. Abort the mount after ``seconds``, or if anything fails."""
    readers = TimedReaders(source)
    try:
        with alarm(seconds):
            yield readers
    except BaseException:
        if mount is not None:
            mountinfo.abort(mount.point)
        raise
    finally:
        for reader in readers.all:
            if reader.process.poll() is None:
                os.killpg(reader.process.pid, signal.SIGKILL)
            reader.process.communicate()
