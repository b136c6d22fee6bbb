"""One `fanoutfs copy` of what another computer shows, against nbdcopy of nbdkit, over the same network.

The source is a file in a tmpfs, the target another one that was written before, the network a virtual link
between two namespaces: all that is measured is programs, and both computers share this one's processors.

nbdcopy empties its target and gets memory for it anew; the last line says what it does where the target
is a disk (a loop device on the file), which it can't empty; and fanoutfs beside it.
"""

import contextlib
import functools
import time
from collections.abc import Callable
from pathlib import Path

from fanoutfs.units import MIB
from tests.rig.harness import Options, Row, all_of, alternate, finish, options
from tests.rig.images import write_pattern
from tests.rig.loops import attached
from tests.rig.measured_computers import Computers, computers, shown_mount
from tests.rig.measured_copies import same, written_before
from tests.rig.ram import folder, need_memory

LEAST = 0.5
"""Of nbdcopy's rate."""

RING = ("--ring", "64M")
"""As on the other computer. By default the copy keeps the whole image for those to come; where free memory is
cold, to make that takes long."""


def timed(chosen: Options, run: Callable[[], None], source: Path, target: Path) -> float:
    """Give the MiB per second of one command, whose copy must be right."""
    written_before(target, chosen.size)
    start = time.monotonic()
    run()
    seconds = time.monotonic() - start
    if not same(target, source):
        raise RuntimeError("a copy is wrong")
    return chosen.size / MIB / seconds


def ours(on: Computers, target: Path) -> None:
    """Copy with fanoutfs."""
    copy = on.copy(on.hosts[1], on.url, [target], *RING)
    if copy.wait():
        raise RuntimeError(f"fanoutfs copy failed: {copy.said()}")


def nbdcopy(on: Computers, target: Path) -> None:
    """Copy with nbdcopy."""
    copy = on.begin(on.hosts[1], "nbdcopy", on.export, target)
    if copy.wait():
        raise RuntimeError(f"nbdcopy failed: {copy.said()}")


def with_fanoutfs(chosen: Options, source: Path, target: Path, written: Path) -> float:
    """Give the rate of a copy to ``written``, which is ``target`` or a disk made of it."""
    with computers(chosen, 2) as on, shown_mount(on, source, chosen.ring):
        return timed(chosen, functools.partial(ours, on, written), source, target)


def with_nbdcopy(chosen: Options, source: Path, target: Path, written: Path) -> float:
    """Give nbdcopy's rate, from an nbdkit that has the file itself."""
    with computers(chosen, 2) as on:
        server = ("nbdkit", "--foreground", "--readonly", "file", source)
        with on.server(on.first, *server):
            return timed(chosen, functools.partial(nbdcopy, on, written), source, target)


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="1G", rounds=5)
    need_memory(4 * chosen.size)
    with folder() as ram, contextlib.ExitStack() as stack:
        source, target = write_pattern(ram / "source", chosen.size), ram / "target"
        backing = written_before(ram / "backing", chosen.size)
        disk = stack.enter_context(attached(backing))
        files, disks = (chosen, source, target, target), (chosen, source, backing, disk)
        rates = alternate(
            chosen.rounds,
            {
                "nbdcopy of nbdkit": functools.partial(with_nbdcopy, *files),
                "fanoutfs copy": functools.partial(with_fanoutfs, *files),
                "nbdcopy of nbdkit to a disk": functools.partial(with_nbdcopy, *disks),
                "fanoutfs copy to a disk": functools.partial(with_fanoutfs, *disks),
            },
        )
    rows = [all_of("ways whose copies were right", [True] * len(rates))]  # a wrong one would have ended this
    for kind, bar in (("", f"at least {LEAST}"), (" to a disk", "")):
        ratio = rates[f"fanoutfs copy{kind}"] / rates[f"nbdcopy of nbdkit{kind}"]
        rows.append(Row(f"rate{kind}, to nbdcopy's", f"{ratio:.3f}", bar, not bar or ratio >= LEAST))
    finish(f"a copy of {chosen.size // MIB} MiB over the network, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
