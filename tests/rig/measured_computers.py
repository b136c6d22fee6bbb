"""Measurements on several hosts (tests/rig/hosts.py): the first serves its source to the others."""

import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.rig.commands import run, wait_until
from tests.rig.harness import Options
from tests.rig.hosts import Host, hosts, why_not
from tests.rig.limited import LimitedSource, limited_mount
from tests.rig.measured_copies import Copy, end_all
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount
from tests.rig.ram import folder
from tests.rig.ready_readers import alarm
from tests.rig.services import export_url, listening, service_url
from tests.rig.web import token_file

TOKEN = "measured-not-guessed"


@attrs.define(eq=False)
class Computers:
    """The hosts of one measurement, and the commands that were started on them."""

    hosts: tuple[Host, ...]
    fanoutfs: Path
    place: Path
    """A folder for small files, visible on all hosts."""
    token: Path
    """A file with the token of the service."""
    started: list[Copy] = attrs.field(factory=list, init=False)

    @property
    def first(self) -> Host:
        """The host that has the source."""
        return self.hosts[0]

    @property
    def others(self) -> tuple[Host, ...]:
        """The hosts that copy."""
        return self.hosts[1:]

    @property
    def url(self) -> str:
        """The address of the first host's service."""
        return service_url(self.first)

    @property
    def export(self) -> str:
        """The address of the first host's exported image."""
        return export_url(self.first)

    def program(self, host: Host) -> Path:
        """Write a script that runs fanoutfs on a host; return its path."""
        path = self.place / f"fanoutfs-on-{host.name}"
        path.write_text(f'#!/bin/sh\nexec {shlex.join(host.on(self.fanoutfs))} "$@"\n')
        path.chmod(0o755)
        return path

    def start(self, host: Host, *command: str | Path) -> Copy:
        """Start a command on a host."""
        copy = Copy.begin(host.on(*command))
        self.started.append(copy)
        return copy

    def copy(self, host: Host, source: str, target: Path, *options: str) -> Copy:
        """Start a copy on a host."""
        token: tuple[str | Path, ...] = ("--token-file", self.token) if source == self.url else ()
        argv = ("copy", "--yes", "--no-progress", *token, *options, source, target)
        return self.start(host, self.fanoutfs, *argv)

    @contextlib.contextmanager
    def server(self, host: Host, *command: str | Path) -> Iterator[None]:
        """Run an NBD server on a host; it replies when this returns."""
        server = self.start(host, *command)
        request = host.on("nbdinfo", "--size", export_url(host))
        wait_until(lambda: run(*request, code=None).returncode == 0, "the NBD server replies")
        try:
            yield
        finally:
            server.process.terminate()
            server.wait()


@contextlib.contextmanager
def computers(chosen: Options, count: int, seconds: float = 300.0) -> Iterator[Computers]:
    """Start hosts; at the end kill what runs there. Raise TimeoutError after some seconds."""
    if why := why_not():
        sys.exit(why)
    with folder() as place, hosts(count) as found:
        made = Computers(found, chosen.fanoutfs, place, token_file(place, TOKEN))
        try:
            with alarm(seconds):
                yield made
        finally:
            end_all(made.started)


@contextlib.contextmanager
def shown_mount(
    on: Computers, source: LimitedSource | Path, ring: str | None, *options: str
) -> Iterator[Mount]:
    """Mount a source on the first host, with a service and an export; the mount is visible only there."""
    program, options = on.program(on.first), (*listening(on.token), *options)
    if isinstance(source, LimitedSource):
        with limited_mount(program, source, ring, *options) as mount:
            yield mount
    else:
        with fanout_mount(program, source, ring, *options) as mount:
            yield mount
