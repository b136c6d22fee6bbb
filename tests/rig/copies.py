"""Runs of `fanoutfs copy` under test, and what must be left of them at the end: nothing but the copies."""

import contextlib
import os
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from fanoutfs.engine.lock import socket_path
from fanoutfs.engine.query import ask_status
from fanoutfs.status.document import as_plain
from fanoutfs.system.identity import identity_of
from tests.rig.commands import (
    FANOUTFS,
    Argument,
    Done,
    Process,
    end,
    finish,
    has_ended,
    is_stopped,
    processes,
    start,
    wait_until,
)
from tests.rig.images import MIB
from tests.rig.mounts import unexpected_lines

BLOCK = 256 * 1024
SMALL = ("--block", BLOCK, "--ring", 8 * BLOCK, "--patience", 60)
"""A ring smaller than nearly every image here, so that slots are given up; nobody is left behind on a machine
that is busy with other things."""

RATE = 8 * MIB
SLOWLY = (*SMALL, "--read-rate", RATE)
"""Slow enough to be caught on the way; whoever is held then holds all others."""

CLOSELY = 0.01, 0.01
"""Seconds between two looks at a copy that goes on meanwhile."""


@attrs.define(eq=False)
class Copies:
    """The copies of one test; `expected` are patterns of the warnings that it says are right."""

    folder: Path
    """Of this test alone; the logs are there."""
    expected: list[str] = attrs.field(factory=list)
    _processes: list[Process] = attrs.field(factory=list, init=False)
    _identities: set[str] = attrs.field(factory=set, init=False)

    # Starting

    def command(self, source: Path, *words: Argument) -> list[Argument]:
        """Return the command line of a copy, with a log of its own; `words` are targets and options."""
        with contextlib.suppress(OSError):
            self._identities.add(identity_of(source.stat()))
        log = self.folder / f"copy{len(self.logs())}.log"
        log.with_suffix(".planned").touch()
        return [FANOUTFS, "copy", "--log", log, source, *words]

    def start(self, source: Path, *words: Argument, env: Mapping[str, str] | None = None) -> Process:
        """Start a copy, in a process group of its own as a shell does it."""
        return self.keep(start("setsid", *self.command(source, *words), env=env))

    def run(self, source: Path, *words: Argument, code: int | None = 0) -> Done:
        """Copy, and check what is true of every end."""
        return self.finish(self.start(source, *words), code=code)

    def finish(self, process: Process, *, code: int | None = 0) -> Done:
        """Wait for a copy's end; whatever it ends with, it is never a traceback."""
        done = finish(process, code=code)
        assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
        return done

    def keep(self, process: Process) -> Process:
        """See to it that a process has ended when the test has."""
        self._processes.append(process)
        return process

    # Watching

    def status(self, source: Path) -> dict[str, Any] | None:
        """Ask the source's producer; None when there is none."""
        document = ask_status(identity_of(source.stat()))
        return None if document is None else dict(as_plain(document))

    def wait_for(
        self, source: Path, condition: Callable[[dict[str, Any]], bool], what: str
    ) -> dict[str, Any]:
        """Wait until the producer's status is such; give it."""
        seen: list[dict[str, Any]] = []

        def fulfilled() -> bool:
            seen[:] = filter(None, [self.status(source)])
            if not seen and all(process.poll() is not None for process in self._processes):
                pytest.fail(f"the copies have ended before {what}")
            return bool(seen) and condition(seen[0])

        wait_until(fulfilled, what, looks=CLOSELY)
        return seen[0]

    def wait_for_targets(self, source: Path, *targets: Path) -> dict[str, Any]:
        """Wait until the copies that go on are those to these targets, and no others."""
        names = sorted(map(str, targets))
        return self.wait_for(
            source,
            lambda status: (
                names == sorted(reader["target"] for reader in status["readers"] if reader["target"])
            ),
            f"the copies are those to {', '.join(names)}",
        )

    def worker(self, source: Path, target: Path, delivered: int = 1) -> int:
        """Wait until a target has had so many bytes; give the process that writes it."""
        status = self.wait_for(
            source,
            lambda status: delivered <= _reader(status, target).get("delivered", 0),
            f"{target} has had {delivered} bytes",
        )
        return int(_reader(status, target)["pid"])

    def hold(self, source: Path, target: Path, delivered: int) -> int:
        """Stop the process that writes a target once it has had so many bytes; SIGCONT lets it go on.

        With ``SLOWLY`` all other copies of the source stay within a ring of it then.
        """
        pid = self.worker(source, target, delivered)
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: is_stopped(pid), f"the process that writes {target} has stopped")
        return pid

    def logs(self) -> list[Path]:
        """Return the logs that may be there; only who becomes the producer writes his."""
        return [path.with_suffix(".log") for path in self.folder.glob("copy*.planned")]

    def producers(self) -> int:
        """Count the producers that were started, by their logs."""
        return sum(log.read_text().count(" has a producer: ") for log in self.logs() if log.exists())

    # The end

    def close(self) -> None:
        """Check that all has ended, and left nothing."""
        assert [] == [process.args for process in self._processes if process.poll() is None]
        wait_until(lambda: self.left() == {}, f"no process is left: {self.left()}")
        for identity in self._identities:
            status = ask_status(identity)
            if status is None:
                assert not socket_path(identity).exists()
            else:
                assert status.mountpoint is not None
                assert [] == status.readers
        assert [] == self.unexpected_log()

    def abandon(self) -> None:
        """End what is left of a test that failed."""
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in self._processes:
            end(process)

    def left(self) -> dict[int, str]:
        """Return commands, workers and daemons of this test's copies that have not ended."""
        ours = f"{self.folder}/copy"
        return {
            pid: " ".join(words)
            for pid, words in processes()
            if any(word.startswith(ours) for word in words) and not has_ended(pid)
        }

    def log_text(self) -> str:
        """Return what all producers have logged."""
        return "".join(f"--- {log}\n{log.read_text()[-8000:]}" for log in self.logs() if log.exists())

    def unexpected_log(self) -> list[str]:
        """Return the lines of the logs at WARNING or above that the test did not announce."""
        return unexpected_lines(self.log_text(), self.expected)


def _reader(status: dict[str, Any], target: Path) -> dict[str, Any]:
    return next((reader for reader in status["readers"] if reader.get("target") == str(target)), {})


def lines(done: Done) -> dict[str, str]:
    """Return what was said of each target, whether it is good or not."""
    said = {}
    for line in (done.stdout + done.stderr).decode().splitlines():
        name, _, rest = line.partition(": ")
        assert name not in said, f"{name} is named twice"
        if name != "fanoutfs":
            said[name] = rest
    return said


def written(said: str) -> str:
    """Return how much of a resumed copy was written, from its line."""
    found = re.search(r"resumed in [^,]*, (?:(\S+ \S+) of it written|(nothing) was missing)", said)
    if found is None:
        pytest.fail(f"says not what was written: {said}")
    return found[1] or found[2]
