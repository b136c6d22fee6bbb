"""Several computers on this one (tests/rig/hosts.py); the first shows a mount to the others."""

import contextlib
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs

from fanoutfs.control.client import ControlConnection
from fanoutfs.errors import FanoutError
from tests.rig.harness import Options
from tests.rig.hosts import Host, hosts, why_not
from tests.rig.limited import LimitedSource, limited_mount
from tests.rig.measured_copies import Copy, end_all
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount
from tests.rig.ram import folder
from tests.rig.ready_readers import alarm
from tests.rig.timed_readers import POLL

SERVICE, EXPORT = 8400, 10809  # ports of the first
RUNTIME = Path("/run/fanoutfs")
TOKEN = "measured-not-guessed"
BEGINS = 30.0  # seconds that a server may take until it answers


@attrs.define(eq=False)
class Computers:
    """Computers, and what was begun on them."""

    hosts: tuple[Host, ...]
    fanoutfs: Path
    place: Path
    """A folder that all of them see, for small files."""
    begun: list[Copy] = attrs.field(factory=list, init=False)

    @property
    def first(self) -> Host:
        """The one that has the source."""
        return self.hosts[0]

    @property
    def url(self) -> str:
        """Where the first one's service is."""
        return f"http://{self.first.name}:{SERVICE}"

    @property
    def export(self) -> str:
        """Where the first one's image is."""
        return f"nbd://{self.first.name}:{EXPORT}/image"

    @property
    def token(self) -> Path:
        """A file with the token that the service wants."""
        path = self.place / "token"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(TOKEN)
        return path

    @property
    def serving(self) -> tuple[str, ...]:
        """The options that make a mount of the first one be seen by the others."""
        listen = ("--listen", f"0.0.0.0:{SERVICE}", "--export", f"0.0.0.0:{EXPORT}")
        return (*listen, "--token-file", str(self.token))

    def program(self, host: Host) -> Path:
        """Give fanoutfs as a program that runs on a host, from wherever it is started."""
        path = self.place / f"fanoutfs-on-{host.name}"
        path.write_text(f'#!/bin/sh\nexec {shlex.join(host.on(self.fanoutfs))} "$@"\n')
        path.chmod(0o755)
        return path

    def begin(self, host: Host, *command: str | Path) -> Copy:
        """Start a command on a host."""
        copy = Copy.begin(host.on(*command))
        self.begun.append(copy)
        return copy

    def copy(self, host: Host, source: str, targets: list[Path], *words: str) -> Copy:
        """Start a copy on a host."""
        service: tuple[str | Path, ...] = ("--token-file", self.token) if source == self.url else ()
        options = ("--yes", "--no-progress", *service, *words)
        return self.begin(host, self.fanoutfs, "copy", *options, source, *targets)

    @contextlib.contextmanager
    def server(self, host: Host, *command: str | Path) -> Iterator[Copy]:
        """Run an NBD server on a host meanwhile; it answers when this begins."""
        served = self.begin(host, *command)
        ask = host.on("nbdinfo", "--size", f"nbd://{host.name}:{EXPORT}")
        wait_until(lambda: subprocess.run(ask, capture_output=True, check=False).returncode == 0, served.said)
        try:
            yield served
        finally:
            served.process.terminate()
            served.wait()


@contextlib.contextmanager
def computers(chosen: Options, count: int, seconds: float = 300.0) -> Iterator[Computers]:
    """Have computers; at the end nothing runs there, and TimeoutError when it takes too long (seconds)."""
    if why := why_not():
        sys.exit(why)
    with folder() as place, hosts(count) as found:
        made = Computers(found, chosen.fanoutfs, place)
        try:
            with alarm(seconds):
                yield made
        finally:
            end_all(made.begun)


@contextlib.contextmanager
def shown_mount(
    on: Computers, source: LimitedSource | Path, ring: str | None, *words: str, steady: bool = False
) -> Iterator[Mount]:
    """Mount on the first computer what the others read; paths in it are seen there only."""
    program = on.program(on.first)
    words = (*on.serving, *words)
    if isinstance(source, LimitedSource):
        with limited_mount(program, source, ring, *words, steady=steady) as mount:
            yield mount
    else:
        with fanout_mount(program, source, ring, *words) as mount:
            yield mount


def head_of(on: Computers, mount: Mount) -> int:
    """Give where the producer of a mount on the first computer is, in bytes."""
    return int((on.first.seen(mount.point) / ".fanoutfs" / "head").read_text())


def begins(host: Host) -> dict[str, int]:
    """Give at which byte of the image each copy has begun that is under way on a host."""
    found = {}
    for path in host.seen(RUNTIME).glob("*.sock"):
        with contextlib.suppress(OSError, FanoutError):
            visitor = ControlConnection.to(path)
            try:
                readers = visitor.request("status", BEGINS)["status"]["readers"]
            finally:
                visitor.close()
            found.update({reader["target"]: reader["start"] for reader in readers if reader["target"]})
    return found


def join(at: Sequence[float], begin: Callable[[int], Copy]) -> list[Copy]:
    """Begin commands one after the other, at these seconds after the first; ``begin`` is given its number."""
    begun: list[Copy] = []
    for number, seconds in enumerate(at):
        if begun:
            time.sleep(max(0.0, begun[0].start + seconds - time.monotonic()))
        begun.append(begin(number))
    return begun


def ends(begun: Sequence[Copy], look: Callable[[], object] = lambda: None) -> list[float]:
    """Wait for commands, and give when each ended; meanwhile ``look`` now and then."""
    found: dict[int, float] = {}
    while len(found) < len(begun):
        look()
        for number, copy in enumerate(begun):
            if number not in found and not copy.running:
                found[number] = time.monotonic()
        time.sleep(POLL)
    return [found[number] for number in range(len(begun))]


def wait_until(fact: Callable[[], bool], said: Callable[[], str], seconds: float = BEGINS) -> None:
    """Look until something is so; RuntimeError with what was ``said`` when that takes too long."""
    until = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > until:
            raise RuntimeError(f"not so after {seconds:.0f} s; it has said: {said()}")
        time.sleep(POLL)
