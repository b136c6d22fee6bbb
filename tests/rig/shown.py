"""Mounts on hosts under test that serve the other hosts, and copies from them."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from tests.rig.commands import FANOUTFS, Argument, Process, has_ended, run, start, stop, wait_for, wait_until
from tests.rig.copies import CLOSELY
from tests.rig.hosts import Host
from tests.rig.mounts import Mount
from tests.rig.services import EXPORT, export_url, listening, service_url, statuses
from tests.rig.started import Started
from tests.rig.web import token_file

TOKEN = "correct-horse-battery"


@attrs.define(eq=False, kw_only=True)
class Shown(Mount):
    """A mount on a host; its paths are those on the host."""

    host: Host
    scheme: str

    @property
    def url(self) -> str:
        """The address of its service."""
        return service_url(self.host, self.scheme)

    @property
    def export(self) -> str:
        """The address of its exported image."""
        return export_url(self.host)

    def _read(self, name: str) -> bytes:
        return run(*self.host.on("cat", self.point / ".fanoutfs" / name)).stdout

    def wait_for_head(self, offset: int) -> None:
        """Wait until its head has reached an offset, in bytes."""
        wait_until(lambda: self.head() >= offset, f"{self.host.name} has read {offset} bytes")

    def kill(self) -> None:
        """Kill the daemon, and detach its dead mount."""
        super().kill()
        run(*self.host.on("umount", "--lazy", self.point))

    def close(self) -> None:
        """Unmount if it is mounted, and check that the daemon ends and has logged nothing unexpected."""
        if not has_ended(self.pid):
            run(*self.host.on(FANOUTFS, "umount", self.point))
            wait_until(lambda: has_ended(self.pid), f"the daemon {self.pid} has ended")
        assert [] == self.unexpected_log()


@attrs.define(eq=False)
class Computers(Started):
    """The mounts and commands of a test on its hosts."""

    mounts: list[Shown] = attrs.field(factory=list, init=False)

    @property
    def token(self) -> Path:
        """The file with the token of all its services."""
        return token_file(self.folder, TOKEN)

    def show(
        self, host: Host, source: str | Path, *options: Argument, export: str = f"0.0.0.0:{EXPORT}"
    ) -> Shown:
        """Mount a source on a host, with a service and an export."""
        point, log = self.folder / f"mnt{len(self.mounts)}", self.next_log()
        point.mkdir()
        run(
            *host.on(FANOUTFS, "mount", *listening(self.token, export), *options, "--log", log, source, point)
        )
        scheme = "https" if "--tls-cert" in options else "http"
        shown = Shown(source=Path(source), point=point, log=log, host=host, scheme=scheme)
        shown.pid = shown.status()["pid"]
        self.mounts.append(shown)
        return shown

    def start(self, host: Host, *command: Argument, stdin: int = subprocess.DEVNULL) -> Process:
        """Start a command on a host, in its own process group, as a shell does."""
        return self.keep(start("setsid", *host.on(*command), stdin=stdin))

    def copy(self, host: Host, source: str, *arguments: Argument) -> Process:
        """Start a copy on a host; `arguments` are targets and options."""
        token = ("--token-file", self.token) if source.startswith("http") else ()
        return self.start(host, *self.plain_copy(source, *token, "--log", self.next_log(), *arguments))

    def plain_copy(self, source: str, *arguments: Argument) -> list[Argument]:
        """Return the argv of a copy without a token and a log."""
        return [FANOUTFS, "copy", "--yes", "--no-progress", source, *arguments]

    def wait_for_copy(
        self, host: Host, condition: Callable[[dict[str, Any]], bool], what: str
    ) -> dict[str, Any]:
        """Wait until the status of a copy on a host fulfils a condition; return it."""
        return wait_for(
            lambda: next(
                (reader for status in statuses(host) for reader in status["readers"] if condition(reader)),
                None,
            ),
            what,
            CLOSELY,
        )

    def hold(self, host: Host, delivered: int) -> int:
        """Stop (SIGSTOP) the worker of a copy on a host that has received these bytes; return its pid."""
        reader = self.wait_for_copy(
            host,
            lambda reader: reader["kind"] == "copy" and reader["delivered"] >= delivered,
            f"a copy has received {delivered} bytes",
        )
        stop(reader["pid"])
        return int(reader["pid"])

    def close(self) -> None:
        """Check that all commands have ended, and unmount; the last host first, as it may read from them."""
        assert [] == self.running()
        for shown in sorted(self.mounts, key=lambda shown: shown.host.name, reverse=True):
            shown.close()
