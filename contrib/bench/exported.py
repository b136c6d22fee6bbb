"""nbdcopy of a mount's export: how fast it is, and how often the source is read for four of them.

The rate is that of nbdcopy to null:, in turn with nbdcopy of the source itself from an nbdkit with only the
file plugin. The reads are for four nbdcopy at once, and four that start two seconds apart, of a source of 100
MiB/s. For comparison the same with an nbdkit with only the file plugin on the image: there each nbdcopy makes
four connections, and each connection reads its own stripe.
"""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fanoutfs.simulate.model import simulate
from fanoutfs.simulate.scenario import Scenario, SimulatedReader
from fanoutfs.units import MIB, parse_size
from tests.ports import free_port
from tests.rig.commands import wait_until
from tests.rig.harness import (
    Options,
    Row,
    all_of,
    alternate,
    at_least,
    at_most,
    finish,
    measured,
    options,
    wait_for_quiet,
)
from tests.rig.limited import RATE
from tests.rig.measured_copies import same
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount
from tests.rig.ram import source_and_targets
from tests.rig.ready_readers import run_together, seconds_of

BAR = 0.5
CLIENTS = 4
APART = 2.0  # seconds
MORE = 1.05
"""Reads of the source, to those that `fanoutfs simulate` predicts."""


@contextlib.contextmanager
def plain_nbdkit(file: Path) -> Iterator[int]:
    """Serve a file with nbdkit; return the port."""
    port = free_port()
    command = ["nbdkit", "--foreground", "--exit-with-parent", "--readonly", "--ipaddr=127.0.0.1"]
    server = subprocess.Popen([*command, f"--port={port}", "file", f"file={file}"])

    def answers() -> bool:
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
            return True
        return server.poll() is not None

    try:
        wait_until(answers, "nbdkit answers")
        yield port
    finally:
        server.kill()
        server.wait()


def nbdcopy(port: int, target: str | Path = "null:") -> list[str | Path]:
    """Return the argv of an nbdcopy."""
    return ["nbdcopy", f"nbd://127.0.0.1:{port}/image", target]


def throughput(chosen: Options, source: Path) -> Row:
    """Compare the rate of an export with nbdkit alone."""
    port = free_port()
    with (
        fanout_mount(chosen.fanoutfs, source, chosen.ring, "--export", f"127.0.0.1:{port}"),
        plain_nbdkit(source) as plain,
    ):

        def rate(port: int) -> float:
            return chosen.size / MIB / seconds_of([nbdcopy(port)])

        rates = alternate(
            chosen.rounds,
            {"the export": partial(rate, port), "nbdkit's file plugin": partial(rate, plain)},
        )
    ours, theirs = rates.values()
    return at_least("nbdcopy of the export, to that of nbdkit's file plugin", ours / theirs, BAR)


def share(
    port: int, mount: Mount, source: Path, targets: list[Path], apart: float
) -> tuple[float, list[bool]]:
    """Return how often the source is read for some nbdcopy, and which of them are right."""
    before = mount.source_bytes()
    commands = [
        ["sh", "-c", 'sleep "$1"; shift; exec "$@"', "sh", f"{number * apart:g}", *nbdcopy(port, target)]
        for number, target in enumerate(targets)
    ]
    run_together(commands)
    read = mount.source_bytes() - before
    right = [same(target, source) for target in targets]
    for target in targets:
        target.unlink()
    return read / source.stat().st_size, right


def modelled(chosen: Options, apart: float) -> float:
    """Return the passes over the source that this many readers in order take."""
    begun = tuple(SimulatedReader(at=number * apart) for number in range(CLIENTS))
    scenario = Scenario(size=chosen.size, ring=parse_size(chosen.ring), readers=begun, source_rate=RATE)
    return simulate(scenario).passes


def sharing(chosen: Options, source: Path, targets: list[Path], apart: float) -> list[Row]:
    """Measure how often the source is read through the export, and through nbdkit on the image."""
    when = f"{CLIENTS} nbdcopy {f'{apart:g} s apart' if apart else 'at once'}"
    shares: dict[bool, list[float]] = {True: [], False: []}
    right: list[bool] = []
    for _ in range(chosen.rounds):
        for exported, found in shares.items():
            wait_for_quiet()
            port = free_port()
            flags = ("--read-rate", str(RATE), "--export", f"127.0.0.1:{port}")
            with (
                fanout_mount(chosen.fanoutfs, source, chosen.ring, *flags) as mount,
                plain_nbdkit(mount.image) as plain,
            ):
                read, copied = share(port if exported else plain, mount, source, targets, apart)
            found.append(read)
            right += copied
    return [
        at_most(f"{when}: read of the source, to its size", shares[True], MORE * modelled(chosen, apart)),
        measured(f"{when} of nbdkit's file plugin on image", shares[False]),
        all_of(f"{when}: copies that equal it", right),
    ]


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="512M", rounds=3)
    with source_and_targets(chosen.size, CLIENTS) as (source, targets):
        rows = [throughput(chosen, source)]
        for apart in (0.0, APART):
            rows += sharing(chosen, source, targets, apart)
    finish(f"a mount's export, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
