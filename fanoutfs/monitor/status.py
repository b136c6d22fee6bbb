"""The status document: one snapshot of a mount, as JSON and as text for people.

Its keys are a contract. Bytes throughout; ``position`` is where a reader's next byte lies and ``left`` how
many there are from it to the end of its file, ``waiting`` is null, "source" (its block is being read, or will
be) or the id of the reader that it waits for. ``sweep_in`` is about how many seconds the sweep needs to come
to a reader that waits for the source, at the source's rate until now; till then it lives on detours. A copy
has a ``target`` besides.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from fanoutfs.ring.point import Point
from fanoutfs.ring.shared import Ring
from fanoutfs.settings import format_size
from fanoutfs.source.contract import Source
from fanoutfs.statistics import Statistics


class Shown(Protocol):
    """What the status shows of a consumer of any kind."""

    @property
    def id(self) -> int:
        """Its number, unlike any other's of this producer."""

    @property
    def pid(self) -> int:
        """The process that opened the file, or copies."""

    @property
    def command(self) -> str:
        """That process's name."""

    @property
    def kind(self) -> str:
        """Which way out of the ring it has taken."""

    @property
    def target(self) -> str | None:
        """What it writes to, when that is known."""

    @property
    def point(self) -> Point:
        """What the rules know of it."""

    @property
    def start(self) -> int | None:
        """The byte of the image at which it began."""

    @property
    def position(self) -> int:
        """Where its next byte lies."""

    @property
    def left(self) -> int:
        """Bytes that are still to come."""

    @property
    def delivered(self) -> int:
        """Bytes that it has had."""

    @property
    def sequential(self) -> bool:
        """It goes straight on."""


def snapshot(
    source: Source,
    statistics: Statistics,
    ring: Ring,
    consumers: Iterable[Shown],
    gauges: dict[str, int],
    mountpoint: Path | None,
) -> dict[str, Any]:
    """Give the document as plain data."""
    rules = ring.rules
    return {
        "pid": os.getpid(),
        "mountpoint": None if mountpoint is None else str(mountpoint),
        "source": {
            "path": source.path,
            "identity": source.identity,
            "size": source.size,
            "bytes_read": statistics.bytes_read,
            "reads": statistics.reads,
            "errors": statistics.errors,
            "reading": ring.reading_since is not None,
        },
        "ring": {
            "block_size": ring.block,
            "slots": rules.slots,
            "resident": len(rules.residency.slot_of),
            "arcs": [[a * ring.block, min(b * ring.block, ring.size)] for a, b in rules.residency.arcs()],
        },
        "head": ring.head,
        "readers": [_reader(ring, consumer, statistics.rate) for consumer in consumers],
        "gauges": gauges,
    }


def _reader(ring: Ring, consumer: Shown, rate: float) -> dict[str, Any]:
    point = consumer.point
    waiting: str | int | None = None
    sweep_in: float | None = None
    if point.asks:
        holder = ring.rules.waits_for(point, ring.clock())
        waiting = "source" if holder is None else holder
        if holder is None and rate:
            sweep_in = round(ring.rules.ahead_of_head(point.asks[0].at) * ring.block / rate, 1)
    shown = {
        "id": consumer.id,
        "kind": consumer.kind,
        "pid": consumer.pid,
        "command": consumer.command,
        "start": consumer.start,
        "position": consumer.position,
        "left": consumer.left,
        "delivered": consumer.delivered,
        "live": not ring.rules.dormant(point, ring.clock()),
        "sequential": consumer.sequential,
        "waiting": waiting,
        "sweep_in": sweep_in,
    }
    return shown if consumer.target is None else {**shown, "target": consumer.target}


def render(document: dict[str, Any]) -> bytes:
    """Write the document as it is read from the mount."""
    return json.dumps(document, indent=1).encode() + b"\n"


def describe(document: dict[str, Any]) -> str:
    """Write the document for people."""
    source, ring = document["source"], document["ring"]
    size = source["size"]
    read = f"{format_size(source['bytes_read'])}, {source['bytes_read'] / size:.2f} times its size"
    filled = f"{ring['resident']} of {ring['slots']} blocks of {format_size(ring['block_size'])} filled"
    lines = [
        f"source   {source['path']}, {format_size(size)}",
        f"read     {read}, {source['errors']} bad places",
        f"ring     {filled}, head at {document['head'] / size:.0%}",
    ]
    readers = document["readers"]
    if not readers:
        lines.append("readers  none")
    else:
        lines.append(f"{'reader':>8} {'pid':>8} {'command':16} {'at':>6} {'had':>10}  state")
        lines += [_describe_reader(reader, size) for reader in readers]
    return "\n".join(lines)


def _describe_reader(reader: dict[str, Any], size: int) -> str:
    if reader["start"] is None:
        state = "has not read yet"
    elif reader["waiting"] == "source":
        state = "waits for the source"
        if reader["sweep_in"] is not None and reader["sweep_in"] >= 1:
            state += f", the sweep comes in about {reader['sweep_in']:.0f} s"
    elif reader["waiting"] is not None:
        state = f"waits for reader {reader['waiting']}"
    elif reader["left"] == 0:
        state = "has all of it"
    elif not reader["live"]:
        state = "dormant"
    else:
        state = "reads" if reader["sequential"] else "reads here and there"
    return (
        f"{reader['id']:>8} {reader['pid']:>8} {reader['command']:16} {reader['position'] / size:>6.1%} "
        f"{format_size(reader['delivered']):>10}  {state}"
    )
