"""What the monitor service costs the readers.

First the engine's processor time, with 1 and with 200 readers (dd, of a source of 1 MiB/s, so that every
block changes the status): without clients, with one client of /events, and with 500, of which the service
accepts 100. The share of one processor that a client adds is the most that it can take from a copy.

Then the time itself: eight direct readers of a source in memory, with one client and without, in turn.
"""

import math
import statistics
import time
from pathlib import Path

from contrib.bench.crowd import crowd
from tests.ports import free_port
from tests.rig.harness import Options, Row, alternate, at_least, at_most, finish, options, processor_seconds
from tests.rig.measured_mounts import fanout_mount
from tests.rig.ram import image
from tests.rig.ready_readers import dd, rate_of, readers

COST = 0.03
"""Of a processor, or of the time."""

SECONDS = 6.0
CROWD = 500
SETTLES = {0: 0.0, 1: 1.5, CROWD: 9.0}
"""Seconds for this number of clients to settle: those without a connection retry after 1, 3 and 7 seconds."""


def share(pid: int, port: int, count: int) -> float:
    """Return the share of a processor that the engine takes with ``count`` clients."""
    with crowd("localhost", port, count, "events"):
        time.sleep(SETTLES[count])
        before, began = processor_seconds(pid), time.monotonic()
        time.sleep(SECONDS)
        return (processor_seconds(pid) - before) / (time.monotonic() - began)


def shares(chosen: Options, source: Path, reading: int) -> list[Row]:
    """Measure what clients add with ``reading`` readers."""
    port = free_port()
    found: dict[int, list[float]] = {0: [], 1: [], CROWD: []}
    listen = ("--listen", f"127.0.0.1:{port}", "--read-rate", "1M")
    with (
        fanout_mount(chosen.fanoutfs, source, chosen.ring, *listen) as mount,
        readers([dd(mount.image, "bs=1M")] * reading, mount) as ready,
    ):
        ready.go()
        time.sleep(8)
        for _ in range(chosen.rounds):
            for count, figures in found.items():
                figures.append(share(mount.pid, port, count))
        if (left := len(mount.status()["readers"])) != reading:
            raise RuntimeError(f"{left} of {reading} readers are left")
    alone = statistics.median(found.pop(0))
    return [
        at_most(
            f"{reading} readers, {count} clients: processors that they add to {alone:.3f}",
            [figure - alone for figure in figures],
            COST if count == 1 else math.inf,
        )
        for count, figures in found.items()
    ]


def slowdown(chosen: Options, source: Path) -> Row:
    """Compare the rate of eight readers with a client with that without."""
    port = free_port()
    with fanout_mount(chosen.fanoutfs, source, chosen.ring, "--listen", f"127.0.0.1:{port}") as mount:

        def rate(clients: int) -> float:
            with crowd("localhost", port, clients, "events"):
                time.sleep(SETTLES[clients])
                return rate_of([dd(mount.image, "bs=1M", "iflag=direct")] * 8, chosen.size, mount)

        medians = alternate(chosen.rounds, {"no client": lambda: rate(0), "a client": lambda: rate(1)})
    return at_least(
        "8 readers with a client, to without", medians["a client"] / medians["no client"], 1 - COST
    )


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="1G", rounds=5)
    with image(chosen.size) as source:
        rows = [*shares(chosen, source, 1), *shares(chosen, source, 200), slowdown(chosen, source)]
    finish(f"the monitor service, image of {chosen.size >> 20} MiB, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
