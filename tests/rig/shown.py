"""Mounts on hosts under test that serve the other hosts, and copies from them."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from tests.rig.commands import (
    FANOUTFS,
    TIMEOUT,
    Argument,
    Done,
    Process,
    end,
    finish,
    has_ended,
    is_stopped,
    run,
    start,
    wait_until,
)
from tests.rig.copies import CLOSELY
from tests.rig.hosts import Host
from tests.rig.mounts import SEVERE
from tests.rig.services import EXPORT, export_url, listening, service_url, statuses
from tests.rig.web import token_file

TOKEN = "correct-horse-battery"


@attrs.define(eq=False)
class Shown:
    """A mount on a host; `expected` are patterns of the warnings that a test expects in its log."""

    host: Host
    point: Path
    log: Path
    pid: int
    scheme: str = "http"
    expected: list[str] = attrs.field(factory=list)

    @property
    def image(self) -> Path:
        """The virtual file, by its path on the host."""
        return self.point / "image"

    @property
    def url(self) -> str:
        """The address of its service."""
        return service_url(self.host, self.scheme)

    @property
    def export(self) -> str:
        """The address of its exported image."""
        return export_url(self.host)

    def status(self) -> dict[str, Any]:
        """Return one snapshot of the daemon's state; read in a process of its own, which may hang."""
        path = self.point / ".fanoutfs" / "status"
        document: dict[str, Any] = json.loads(run(*self.host.on("cat", path)).stdout)
        return document

    def source_bytes(self) -> int:
        """Return the bytes of its source that it has read, by its own count."""
        return int(self.status()["source"]["bytes_read"])

    def wait_for_head(self, offset: int) -> None:
        """Wait until its head has reached an offset, in bytes."""
        wait_until(lambda: self.status()["head"] >= offset, f"{self.host.name} has read {offset} bytes")

    def kill(self) -> None:
        """Kill the daemon, and detach its dead mount."""
        os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: has_ended(self.pid), "the killed daemon is gone")
        run(*self.host.on("umount", "--lazy", self.point))

    def close(self) -> None:
        """Unmount if it is mounted, and check that the daemon ends and has logged nothing unexpected."""
        if not has_ended(self.pid):
            run(*self.host.on(FANOUTFS, "umount", self.point))
            wait_until(lambda: has_ended(self.pid), f"the daemon {self.pid} has ended")
        severe = [line for line in self.log.read_text().splitlines() if SEVERE.search(line)]
        assert [] == [line for line in severe if not any(re.search(p, line) for p in self.expected)]


@attrs.define(eq=False)
class Computers:
    """The mounts and commands of a test on its hosts; all must have ended at its end."""

    folder: Path
    """For this test only."""
    mounts: list[Shown] = attrs.field(factory=list, init=False)
    _processes: list[Process] = attrs.field(factory=list, init=False)
    _logs: int = attrs.field(default=0, init=False)

    @property
    def token(self) -> Path:
        """The file with the token of all its services."""
        return token_file(self.folder, TOKEN)

    def show(
        self, host: Host, source: str | Path, *options: Argument, export: str = f"0.0.0.0:{EXPORT}"
    ) -> Shown:
        """Mount a source on a host, with a service and an export."""
        point = self.folder / f"mnt{len(self.mounts)}"
        point.mkdir()
        log = self._log()
        options = (*listening(self.token, export), *options, "--log", log)
        run(*host.on(FANOUTFS, "mount", *options, source, point))
        shown = Shown(host, point, log, pid=0, scheme="https" if "--tls-cert" in options else "http")
        shown.pid = shown.status()["pid"]
        self.mounts.append(shown)
        return shown

    def start(self, host: Host, *command: Argument, stdin: int = subprocess.DEVNULL) -> Process:
        """Start a command on a host, in its own process group, as a shell does."""
        process = start("setsid", *host.on(*command), stdin=stdin)
        self._processes.append(process)
        return process

    def copy(self, host: Host, source: str, *words: Argument) -> Process:
        """Start a copy on a host; `words` are targets and options."""
        token = ("--token-file", self.token) if source.startswith("http") else ()
        return self.start(host, *self.plain_copy(source, *token, "--log", self._log(), *words))

    def plain_copy(self, source: str, *words: Argument) -> list[Argument]:
        """Return the argv of a copy without a token and a log."""
        return self.program("copy", "--yes", "--no-progress", source, *words)

    def program(self, *words: Argument) -> list[Argument]:
        """Return an argv of fanoutfs."""
        return [FANOUTFS, *words]

    def finish(self, process: Process, *, code: int | None = 0, timeout: float = TIMEOUT) -> Done:
        """Wait for the end of a command; check its exit code, and that it prints no traceback."""
        done = finish(process, code=code, timeout=timeout)
        assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
        return done

    def wait_for_copy(
        self, host: Host, condition: Callable[[dict[str, Any]], bool], what: str
    ) -> dict[str, Any]:
        """Wait until the status of a copy on a host fulfils a condition; return it."""
        seen: list[dict[str, Any]] = []

        def fulfilled() -> bool:
            readers = [reader for status in statuses(host) for reader in status["readers"]]
            seen[:] = [reader for reader in readers if condition(reader)]
            return bool(seen)

        wait_until(fulfilled, what, looks=CLOSELY)
        return seen[0]

    def hold(self, host: Host, delivered: int) -> int:
        """Stop (SIGSTOP) the worker of a copy on a host that has received these bytes; return its pid."""
        reader = self.wait_for_copy(
            host,
            lambda reader: reader["kind"] == "copy" and reader["delivered"] >= delivered,
            f"a copy has received {delivered} bytes",
        )
        pid = int(reader["pid"])
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: is_stopped(pid), "the copy's worker has stopped")
        return pid

    def close(self) -> None:
        """Check that all commands have ended, and unmount; the last host first, as it may read from them."""
        assert [] == [process.args for process in self._processes if process.poll() is None]
        for shown in sorted(self.mounts, key=lambda shown: shown.host.name, reverse=True):
            shown.close()

    def abandon(self) -> None:
        """Kill the commands; their children end with their host."""
        for process in self._processes:
            end(process)

    def log_text(self) -> str:
        """Return the logs of all daemons."""
        return "".join(f"--- {log}\n{log.read_text()[-6000:]}" for log in sorted(self.folder.glob("*.log")))

    def _log(self) -> Path:
        self._logs += 1
        return self.folder / f"{self._logs}.log"
