"""nbdcopy of a mount's export: how fast it is, and how often four of them have the source read.

How fast: to nothing, beside nbdcopy of the source itself from an nbdkit with nothing but the file plugin, in
turn. How often: four at once, and four that begin two seconds apart, from a source of 100 MiB/s. Beside them
the same of an nbdkit with nothing but the file plugin on the image: there nbdcopy makes four connections
each, of which every one reads a stripe of its own.
"""

import contextlib
import math
import socket
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fanoutfs.simulate.model import simulate
from fanoutfs.simulate.scenario import Scenario, SimulatedReader
from fanoutfs.units import MIB, parse_size
from tests.ports import free_port
from tests.rig.harness import Options, Row, all_of, alternate, at_most, finish, options, wait_for_quiet
from tests.rig.images import write_pattern
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount
from tests.rig.ram import folder
from tests.rig.ready_readers import readers, run_together

BAR = 0.5
CLIENTS = 4
APART = 2.0  # seconds
RATE = "100M"
MORE = 1.05
"""Than `fanoutfs simulate` says that the source is read."""


@contextlib.contextmanager
def plain_nbdkit(file: Path) -> Iterator[int]:
    """Serve a file by nbdkit as it is; gives the port."""
    port = free_port()
    command = ["nbdkit", "--foreground", "--exit-with-parent", "--readonly", "--ipaddr=127.0.0.1"]
    server = subprocess.Popen([*command, f"--port={port}", "file", f"file={file}"])
    try:
        while server.poll() is None:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.01)
        yield port
    finally:
        server.kill()
        server.wait()


def nbdcopy(port: int, target: str | Path = "null:") -> list[str | Path]:
    """Write down an nbdcopy."""
    return ["nbdcopy", f"nbd://127.0.0.1:{port}/image", target]


def rate(port: int, size: int) -> float:
    """Give the MiB per second of one nbdcopy to nothing."""
    run = run_together([nbdcopy(port)])
    if any(run.codes):
        raise RuntimeError("nbdcopy failed")
    return size / MIB / run.seconds


def throughput(chosen: Options, source: Path) -> Row:
    """Hold an export against nbdkit alone."""
    port = free_port()
    with (
        fanout_mount(chosen.fanoutfs, source, chosen.ring, "--export", f"127.0.0.1:{port}"),
        plain_nbdkit(source) as plain,
    ):
        medians = alternate(
            chosen.rounds,
            {
                "the export": partial(rate, port, chosen.size),
                "nbdkit's file plugin": partial(rate, plain, chosen.size),
            },
        )
    ratio = medians["the export"] / medians["nbdkit's file plugin"]
    return Row(
        "nbdcopy of the export, to that of nbdkit's file plugin",
        f"{ratio:.2f}",
        f"at least {BAR:.2f}",
        ratio >= BAR,
    )


def share(port: int, mount: Mount, source: Path, ram: Path, apart: float) -> tuple[float, list[bool]]:
    """Give how often the source is read for some nbdcopy, and which of them are right."""
    before = mount.status()["source"]["bytes_read"]
    targets = [ram / f"copy{number}" for number in range(CLIENTS)]
    delays = [f"{number * apart:g}" for number in range(CLIENTS)]
    commands = [
        ["sh", "-c", 'sleep "$1"; shift; exec "$@"', "sh", delay, *nbdcopy(port, target)]
        for delay, target in zip(delays, targets, strict=True)
    ]
    with readers(commands) as begun:
        begun.go()
        begun.wait()
    read = mount.status()["source"]["bytes_read"] - before
    right = [subprocess.run(["cmp", "-s", source, target], check=False).returncode == 0 for target in targets]
    for target in targets:
        target.unlink()
    return read / source.stat().st_size, right


def modelled(chosen: Options, apart: float) -> float:
    """Give the passes over the source that so many readers in order take."""
    begun = tuple(SimulatedReader(at=number * apart) for number in range(CLIENTS))
    ring = parse_size(chosen.ring)
    scenario = Scenario(size=chosen.size, ring=ring, readers=begun, source_rate=parse_size(RATE))
    return simulate(scenario).passes


def sharing(chosen: Options, source: Path, ram: Path, apart: float) -> list[Row]:
    """Say how often the source is read by the export, and without what is in it."""
    when = f"{CLIENTS} nbdcopy {f'{apart:g} s apart' if apart else 'at once'}"
    shares: dict[str, list[float]] = {"the export": [], "nbdkit's file plugin on image": []}
    right: list[bool] = []
    for _ in range(chosen.rounds):
        for name, found in shares.items():
            wait_for_quiet()
            port = free_port()
            words = ("--read-rate", RATE, "--export", f"127.0.0.1:{port}")
            with (
                fanout_mount(chosen.fanoutfs, source, chosen.ring, *words) as mount,
                plain_nbdkit(mount.image) as plain,
            ):
                read, copied = share(port if name == "the export" else plain, mount, source, ram, apart)
            found.append(read)
            right += copied
    bar = MORE * modelled(chosen, apart)
    ours, plainly = shares.values()
    return [
        at_most(f"{when}: read of the source, to its size", ours, bar),
        at_most(f"{when} of nbdkit's file plugin on image", plainly, math.inf),
        all_of(f"{when}: copies that equal it", right),
    ]


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="512M", rounds=3)
    with folder() as ram:
        source = write_pattern(ram / "source", chosen.size)
        rows = [throughput(chosen, source)]
        for apart in (0.0, APART):
            rows += sharing(chosen, source, ram, apart)
    finish(f"a mount's export, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
