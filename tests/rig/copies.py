"""Copy commands under test; at the end of a test only the copies are left of them."""

import contextlib
import os
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from fanoutfs.engine.lock import socket_path
from fanoutfs.engine.query import ask_status
from fanoutfs.status.document import as_plain
from fanoutfs.system.identity import identity_of
from tests.rig.commands import (
    FANOUTFS,
    Argument,
    Done,
    Process,
    has_ended,
    processes,
    start,
    stop,
    wait_for,
    wait_until,
)
from tests.rig.images import MIB
from tests.rig.mounts import unexpected_lines
from tests.rig.started import Started

BLOCK = 256 * 1024
SMALL = ("--block", BLOCK, "--ring", 8 * BLOCK, "--patience", 60)
"""A ring smaller than nearly every image here, so that it evicts blocks; a patience for a busy machine."""

RATE = 8 * MIB
SLOWLY = (*SMALL, "--read-rate", RATE)
"""Slow enough for a test to act during the copy; a copy that is stopped then stops all others."""

CLOSELY = 0.01, 0.01
"""Seconds between two checks of a running copy."""


@attrs.define(eq=False)
class Copies(Started):
    """The copies of one test; `expected` are patterns of the warnings that it expects in the logs."""

    expected: list[str] = attrs.field(factory=list)
    _identities: set[str] = attrs.field(factory=set, init=False)

    # Starting

    def command(self, source: Path, *arguments: Argument) -> list[Argument]:
        """Return the argv of a copy with its own log; `arguments` are targets and options."""
        with contextlib.suppress(OSError):
            self._identities.add(identity_of(source.stat()))
        return [FANOUTFS, "copy", "--log", self.next_log(), source, *arguments]

    def start(self, source: Path, *arguments: Argument, env: Mapping[str, str] | None = None) -> Process:
        """Start a copy with --yes in its own process group, as a shell does.

        On a slow machine it may take long enough for a line of progress.
        """
        argv = self.command(source, "--yes", "--no-progress", *arguments)
        return self.keep(start("setsid", *argv, env=env))

    def run(self, source: Path, *arguments: Argument, code: int | None = 0) -> Done:
        """Copy, and check the exit code."""
        return self.finish(self.start(source, *arguments), code=code)

    # Watching

    def status(self, source: Path) -> dict[str, Any] | None:
        """Return the status of the source's producer; None if there is none."""
        document = ask_status(identity_of(source.stat()))
        return None if document is None else dict(as_plain(document))

    def wait_for(
        self, source: Path, condition: Callable[[dict[str, Any]], bool], what: str
    ) -> dict[str, Any]:
        """Wait until the producer's status fulfils a condition; return it."""

        def find() -> dict[str, Any] | None:
            status = self.status(source)
            if status is None and not self.running():
                raise AssertionError(f"the copies have ended before {what}")
            return status if status is not None and condition(status) else None

        return wait_for(find, what, CLOSELY)

    def wait_for_targets(self, source: Path, *targets: Path) -> dict[str, Any]:
        """Wait until the running copies are those to these targets, and no others."""
        names = sorted(map(str, targets))
        return self.wait_for(
            source,
            lambda status: (
                names == sorted(reader["target"] for reader in status["readers"] if reader["target"])
            ),
            f"the copies are those to {', '.join(names)}",
        )

    def worker(self, source: Path, target: Path, delivered: int = 1) -> int:
        """Wait until a target has received these bytes; return the pid of its worker."""
        status = self.wait_for(
            source,
            lambda status: delivered <= _reader(status, target).get("delivered", 0),
            f"{target} has received {delivered} bytes",
        )
        return int(_reader(status, target)["pid"])

    def hold(self, source: Path, target: Path, delivered: int) -> int:
        """Stop (SIGSTOP) a target's worker once the target has received these bytes; return its pid.

        With ``SLOWLY`` all other copies of the source then stay within a ring of it.
        """
        pid = self.worker(source, target, delivered)
        stop(pid)
        return pid

    def producers(self) -> int:
        """Return the number of producers that were started, by their logs."""
        return sum(log.read_text().count(" has a producer: ") for log in self._logs if log.exists())

    # The end

    def close(self) -> None:
        """Check that all processes have ended, and left nothing."""
        assert [] == self.running()
        wait_until(lambda: self.left() == {}, f"no process is left: {self.left()}")
        for identity in self._identities:
            status = ask_status(identity)
            if status is None:
                assert not socket_path(identity).exists()
            else:
                assert status.mountpoint is not None
                assert [] == status.readers
        assert [] == unexpected_lines(self.log_text(), self.expected)

    def abandon(self) -> None:
        """Kill all processes of a test that failed."""
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        super().abandon()

    def left(self) -> dict[int, str]:
        """Return the commands, workers and daemons of this test's copies that have not ended."""
        ours = f"{self.folder}/copy"
        return {
            pid: " ".join(argv)
            for pid, argv in processes()
            if any(word.startswith(ours) for word in argv) and not has_ended(pid)
        }


def _reader(status: dict[str, Any], target: Path) -> dict[str, Any]:
    return next((reader for reader in status["readers"] if reader.get("target") == str(target)), {})


def lines(done: Done) -> dict[str, str]:
    """Return the line of output about each target."""
    found = {}
    for line in (done.stdout + done.stderr).decode().splitlines():
        name, _, rest = line.partition(": ")
        assert name not in found, f"{name} is named twice"
        if name != "fanoutfs":
            found[name] = rest
    return found


def written(line: str) -> str:
    """Return how much of a resumed copy was written, from its line."""
    found = re.search(r"resumed in [^,]*, (?:(\S+ \S+) of it written|(nothing) was missing)", line)
    assert found is not None, f"the line does not tell what was written: {line}"
    return found[1] or found[2]
