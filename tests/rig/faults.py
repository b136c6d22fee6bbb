"""Files that nbdkit serves through nbdfuse; among them sources that fail where and when a test wants."""

import contextlib
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from tests.rig import mountinfo
from tests.rig.commands import Argument, Process, end, run, start, wait_until


@attrs.frozen
class Served:
    """A file that another process serves, and that process."""

    path: Path
    server: Process


@contextlib.contextmanager
def nbdfuse(
    folder: Path, *nbdkit: Argument, within: Sequence[Argument] = (), env: Mapping[str, str] | None = None
) -> Iterator[Served]:
    """Show as a file what nbdkit serves with these arguments; ``within`` is put before the command."""
    point = folder / "served"
    point.mkdir()
    command = ("nbdfuse", "--readonly", point, "--command", "nbdkit", "-s", "--exit-with-parent", *nbdkit)
    server = start(*within, *command, env=env)
    try:
        wait_until(lambda: bool(mountinfo.at(point)), "nbdfuse serves its file")
        yield Served(point / "nbd", server)
    finally:
        run("umount", "--lazy", point, code=None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(2)
        end(server)


@contextlib.contextmanager
def faulty_source(folder: Path, size: int, bad: Sequence[tuple[int, int]] = ()) -> Iterator[Served]:
    """Serve a pattern image whose `bad` areas (offset, length) cannot be read."""
    mapfile = folder / "bad.map"
    mapfile.write_text(_mapfile(size, bad))
    filters = ("--filter=ddrescue", "pattern", size, f"ddrescue-mapfile={mapfile}")
    with nbdfuse(folder, *filters) as served:
        yield served


def kill(source: Served) -> None:
    """Kill the process that serves the source."""
    source.server.send_signal(signal.SIGKILL)
    source.server.wait()


def _mapfile(size: int, bad: Sequence[tuple[int, int]]) -> str:
    """Return a map file as ddrescue writes it: + was read, - could not be read."""
    lines, position = ["0x0 + 1"], 0
    for offset, length in sorted(bad):
        lines += [f"{position:#x} {offset - position:#x} +", f"{offset:#x} {length:#x} -"]
        position = offset + length
    if position < size:
        lines.append(f"{position:#x} {size - position:#x} +")
    return "\n".join(lines) + "\n"
