"""What the monitor service costs those who read.

First the engine's processor time, with 1 and with 200 readers (dd, of a source that gives 1 MiB/s, so that
every block is news): with nobody who looks, with one client of /events, and with 500, of which 100 are let
in. The share of one processor that a client adds is what it can take from a copy at most.

Then the time itself: eight direct readers of a source in memory, with one client and without, in turn.
"""

import contextlib
import math
import os
import selectors
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fanoutfs.units import MIB
from tests.ports import free_port
from tests.rig.harness import Row, alternate, at_most, finish, options
from tests.rig.images import write_pattern
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount
from tests.rig.ram import folder
from tests.rig.ready_readers import dd, readers, seconds_of

COST = 0.03
"""Of a processor, or of the time."""

SECONDS = 6.0
CROWD = 500
ASK = b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"


def be_clients(port: int, count: int) -> None:
    """Look as so many clients do, until killed: this is a process of its own."""
    with selectors.DefaultSelector() as selector:
        for _ in range(count):
            client = socket.socket()
            client.setblocking(False)  # noqa: FBT003 (its only argument)
            client.connect_ex(("127.0.0.1", port))
            selector.register(client, selectors.EVENT_WRITE)
        while True:
            for key, _ in selector.select():
                client = key.fileobj  # type: ignore[assignment]  # only sockets were registered
                try:
                    if key.events == selectors.EVENT_WRITE:
                        client.send(ASK)
                        selector.modify(client, selectors.EVENT_READ)
                    elif not client.recv(1 << 20):
                        selector.unregister(client)
                        client.close()
                except OSError:
                    selector.unregister(client)
                    client.close()


@contextlib.contextmanager
def clients(port: int, count: int) -> Iterator[None]:
    """Have so many clients of /events meanwhile."""
    if count == 0:
        yield
        return
    words = [sys.executable, "-m", "contrib.bench.monitored", "--be-clients", str(port), str(count)]
    process = subprocess.Popen(words)
    # A crowd that finds no room at the door knocks again after 1, 3 and 7 seconds.
    time.sleep(1.5 if count == 1 else 9)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def processor_seconds(mount: Mount) -> float:
    """Give the processor time that the engine has had."""
    fields = Path(f"/proc/{mount.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def share(mount: Mount, port: int, count: int) -> float:
    """Give the share of a processor that the engine takes while so many look."""
    with clients(port, count):
        before, began = processor_seconds(mount), time.monotonic()
        time.sleep(SECONDS)
        return (processor_seconds(mount) - before) / (time.monotonic() - began)


def shares(fanoutfs: Path, source: Path, ring: str, reading: int, rounds: int) -> list[Row]:
    """Measure what clients add with so many readers."""
    port = free_port()
    found: dict[int, list[float]] = {0: [], 1: [], CROWD: []}
    listen = ("--listen", f"127.0.0.1:{port}", "--read-rate", "1M")
    with (
        fanout_mount(fanoutfs, source, ring, *listen) as mount,
        readers([dd(mount.image, "bs=1M")] * reading, mount) as ready,
    ):
        ready.go()
        time.sleep(8)
        for _ in range(rounds):
            for count, figures in found.items():
                figures.append(share(mount, port, count))
        if (there := len(mount.status()["readers"])) != reading:
            raise RuntimeError(f"{there} of {reading} readers are left")
    alone = statistics.median(found.pop(0))
    return [
        at_most(
            f"{reading} readers, {count} clients: processors that they add to {alone:.3f}",
            [figure - alone for figure in figures],
            COST if count == 1 else math.inf,
        )
        for count, figures in found.items()
    ]


def rate(mount: Mount, size: int, port: int, count: int) -> float:
    """Give the MiB per second of eight readers together."""
    with clients(port, count):
        return 8 * size / MIB / seconds_of([dd(mount.image, "bs=1M", "iflag=direct")] * 8, mount)


def main() -> None:
    """Measure and answer."""
    if sys.argv[1:2] == ["--be-clients"]:
        be_clients(int(sys.argv[2]), int(sys.argv[3]))
    chosen = options(__doc__, size="1G", rounds=5)
    rows: list[Row] = []
    with folder() as ram:
        source = write_pattern(ram / "source", chosen.size)
        for reading in (1, 200):
            rows += shares(chosen.fanoutfs, source, chosen.ring, reading, chosen.rounds)
        port = free_port()
        with fanout_mount(chosen.fanoutfs, source, chosen.ring, "--listen", f"127.0.0.1:{port}") as mount:
            medians = alternate(
                chosen.rounds,
                {
                    "unseen": partial(rate, mount, chosen.size, port, 0),
                    "with a client": partial(rate, mount, chosen.size, port, 1),
                },
            )
    ratio = medians["with a client"] / medians["unseen"]
    least = 1 - COST
    rows.append(
        Row("8 readers with a client, to without", f"{ratio:.3f}", f"at least {least}", ratio >= least)
    )
    finish(f"the monitor service, image of {chosen.size >> 20} MiB, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
