"""A mount on one of several computers, shown to the others, and copies of what it shows."""

import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from fanoutfs.control.client import ControlConnection
from fanoutfs.errors import FanoutError
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
from tests.rig.web import token_file

TOKEN = "correct-horse-battery"
SERVICE, EXPORT = 8400, 10809
RUNTIME = Path("/run/fanoutfs")


@attrs.define(eq=False)
class Shown:
    """A mount on a host; `expected` are patterns of the warnings that a test says are right."""

    host: Host
    point: Path
    log: Path
    pid: int
    scheme: str = "http"
    expected: list[str] = attrs.field(factory=list)

    @property
    def image(self) -> Path:
        """The virtual file, as it is called on the host."""
        return self.point / "image"

    @property
    def url(self) -> str:
        """Where its service is."""
        return f"{self.scheme}://{self.host.name}:{SERVICE}"

    @property
    def export(self) -> str:
        """Where its image is."""
        return f"nbd://{self.host.name}:{EXPORT}/image"

    def status(self) -> dict[str, Any]:
        """Return one snapshot of the daemon's state; read by another process, which may hang."""
        path = self.point / ".fanoutfs" / "status"
        document: dict[str, Any] = json.loads(run(*self.host.on("cat", path)).stdout)
        return document

    def source_bytes(self) -> int:
        """Return how much of its source it has read by its own count."""
        return int(self.status()["source"]["bytes_read"])

    def wait_for_head(self, offset: int) -> None:
        """Wait until it has read so far."""
        wait_until(lambda: self.status()["head"] >= offset, f"{self.host.name} has read {offset} bytes")

    def kill(self) -> None:
        """Kill the daemon, and take its dead mount away."""
        os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: has_ended(self.pid), "the killed daemon is gone")
        run(*self.host.on("umount", "--lazy", self.point))

    def close(self) -> None:
        """End it as it should end, if it runs, and check that it has logged nothing bad."""
        if not has_ended(self.pid):
            run(*self.host.on(FANOUTFS, "umount", self.point))
            wait_until(lambda: has_ended(self.pid), f"the daemon {self.pid} has ended")
        severe = [line for line in self.log.read_text().splitlines() if SEVERE.search(line)]
        assert [] == [line for line in severe if not any(re.search(p, line) for p in self.expected)]


@attrs.define(eq=False)
class Computers:
    """What a test runs on its hosts, and what must be left of it at the end."""

    folder: Path
    """Of this test alone."""
    mounts: list[Shown] = attrs.field(factory=list, init=False)
    _processes: list[Process] = attrs.field(factory=list, init=False)
    _logs: int = attrs.field(default=0, init=False)

    @property
    def token(self) -> Path:
        """The file with the token of all services here."""
        return token_file(self.folder, TOKEN)

    def show(
        self, host: Host, source: str | Path, *options: Argument, export: str = f"0.0.0.0:{EXPORT}"
    ) -> Shown:
        """Mount a source on a host, with a service and an export."""
        point = self.folder / f"mnt{len(self.mounts)}"
        point.mkdir()
        log = self._log()
        listen = ("--listen", f"0.0.0.0:{SERVICE}", "--export", export, "--token-file", self.token)
        run(*host.on(FANOUTFS, "mount", *listen, *options, "--log", log, source, point))
        shown = Shown(host, point, log, pid=0, scheme="https" if "--tls-cert" in options else "http")
        shown.pid = shown.status()["pid"]
        self.mounts.append(shown)
        return shown

    def start(self, host: Host, *command: Argument, stdin: int = subprocess.DEVNULL) -> Process:
        """Start a command on a host, in a process group of its own as a shell does it."""
        process = start("setsid", *host.on(*command), stdin=stdin)
        self._processes.append(process)
        return process

    def copy(self, host: Host, source: str, *words: Argument) -> Process:
        """Start a copy on a host; `words` are targets and options."""
        token = ("--token-file", self.token) if source.startswith("http") else ()
        return self.start(host, *self.plain_copy(source, *token, "--log", self._log(), *words))

    def plain_copy(self, source: str, *words: Argument) -> list[Argument]:
        """Return the command line of a copy that is given no token and no log."""
        return self.program("copy", "--yes", "--no-progress", source, *words)

    def program(self, *words: Argument) -> list[Argument]:
        """Return a command line of fanoutfs."""
        return [FANOUTFS, *words]

    def finish(self, process: Process, *, code: int | None = 0, timeout: float = TIMEOUT) -> Done:
        """Wait for the end of what was started; it is never a traceback."""
        done = finish(process, code=code, timeout=timeout)
        assert b"Traceback" not in done.stderr, done.stderr.decode(errors="replace")
        return done

    def engines(self, host: Host) -> list[dict[str, Any]]:
        """Return the status documents of all producers of a host."""
        found = []
        for path in host.seen(RUNTIME).glob("*.sock"):
            with contextlib.suppress(OSError, FanoutError):
                visitor = ControlConnection.to(path)
                try:
                    found.append(visitor.request("status", 5)["status"])
                finally:
                    visitor.close()
        return found

    def wait_for_copy(
        self, host: Host, condition: Callable[[dict[str, Any]], bool], what: str
    ) -> dict[str, Any]:
        """Wait until a copy on a host stands so; give what its producer there says of it."""
        seen: list[dict[str, Any]] = []

        def fulfilled() -> bool:
            readers = [reader for status in self.engines(host) for reader in status["readers"]]
            seen[:] = [reader for reader in readers if condition(reader)]
            return bool(seen)

        wait_until(fulfilled, what, looks=CLOSELY)
        return seen[0]

    def hold(self, host: Host, delivered: int) -> int:
        """Stop the process that writes a copy on a host once it has had so many bytes; ends with SIGCONT."""
        reader = self.wait_for_copy(
            host,
            lambda reader: reader["kind"] == "copy" and reader["delivered"] >= delivered,
            f"a copy has had {delivered} bytes",
        )
        pid = int(reader["pid"])
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: is_stopped(pid), "the process that writes the copy has stopped")
        return pid

    def close(self) -> None:
        """Check that all has ended and unmount, the last computer's first: it may be fed by another's."""
        assert [] == [process.args for process in self._processes if process.poll() is None]
        for shown in sorted(self.mounts, key=lambda shown: shown.host.name, reverse=True):
            shown.close()

    def abandon(self) -> None:
        """End what was started here; what it started ends with its host."""
        for process in self._processes:
            end(process)

    def log_text(self) -> str:
        """Return what all daemons have logged."""
        return "".join(f"--- {log}\n{log.read_text()[-6000:]}" for log in sorted(self.folder.glob("*.log")))

    def _log(self) -> Path:
        self._logs += 1
        return self.folder / f"{self._logs}.log"
