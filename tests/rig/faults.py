"""Sources that fail where and when a test wants: nbdkit behind nbdfuse, as a file on this machine."""

import contextlib
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from tests.rig import mountinfo
from tests.rig.commands import Process, end, run, start, wait_until


@attrs.frozen
class Faulty:
    """A pattern image served by another process, and that process."""

    path: Path
    server: Process


@contextlib.contextmanager
def faulty_source(folder: Path, size: int, bad: Sequence[tuple[int, int]] = ()) -> Iterator[Faulty]:
    """Serve a pattern image whose `bad` areas (offset, length) cannot be read."""
    mapfile, point = folder / "bad.map", folder / "served"
    mapfile.write_text(_mapfile(size, bad))
    point.mkdir()
    filters = ("--filter=ddrescue", "pattern", size, f"ddrescue-mapfile={mapfile}")
    server = start(
        "nbdfuse", "--readonly", point, "--command", "nbdkit", "-s", "--exit-with-parent", *filters
    )
    try:
        wait_until(lambda: bool(mountinfo.at(point)), "nbdfuse serves its file")
        yield Faulty(point / "nbd", server)
    finally:
        run("umount", "--lazy", point, code=None)
        with contextlib.suppress(Exception):
            server.wait(2)
        end(server)


def kill(source: Faulty) -> None:
    """Take the source away for good."""
    source.server.send_signal(signal.SIGKILL)
    source.server.wait()


def _mapfile(size: int, bad: Sequence[tuple[int, int]]) -> str:
    """Write what ddrescue would: + was read, - could not be."""
    lines, position = ["0x0 + 1"], 0
    for offset, length in sorted(bad):
        lines += [f"{position:#x} {offset - position:#x} +", f"{offset:#x} {length:#x} -"]
        position = offset + length
    if position < size:
        lines.append(f"{position:#x} {size - position:#x} +")
    return "\n".join(lines) + "\n"
