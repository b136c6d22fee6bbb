"""The status document: one snapshot of an engine, as JSON.

Its keys are a contract. Bytes throughout; ``position`` is where a reader's next byte lies and ``left`` how
many there are from it to the end of its file, ``waiting`` is null, "source" (its block is being read, or will
be) or the id of the reader that it waits for. ``sweep_in`` is about how many seconds the sweep needs to come
to a reader that waits for the source, at the source's rate until now; till then it lives on detours. A copy
has a ``target`` besides. The document's own ``delivered`` counts what all readers have had, those who left
included. ``export`` is null, or where the image can be read over NBD: ``host`` as the user said it, ``port``,
``name``, and ``tls``, which is "none", "certificates" or "psk".
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from fanoutfs.ring.cursor import Cursor
from fanoutfs.ring.ring import Ring
from fanoutfs.source.contract import Source
from fanoutfs.source.counters import Counters


class ReaderStatus(Protocol):
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
    def cursor(self) -> Cursor:
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
    statistics: Counters,
    ring: Ring,
    consumers: Iterable[ReaderStatus],
    gauges: dict[str, int],
    mountpoint: Path | None,
    delivered_before: int,
    export: dict[str, str | int] | None,
) -> dict[str, Any]:
    """Give the document as plain data; ``delivered_before`` is what those have had who have left."""
    rules = ring.rules
    consumers = list(consumers)
    waits = rules.waits(ring.clock())
    return {
        "pid": os.getpid(),
        "mountpoint": None if mountpoint is None else str(mountpoint),
        "export": export,
        "source": {
            "path": source.path,
            "identity": source.identity,
            "origin": source.origin or source.identity,
            "size": source.size,
            "bytes_read": statistics.bytes_read,
            "reads": statistics.reads,
            "errors": statistics.errors,
            "changed": statistics.changed,
            "reading": ring.reading_since is not None,
        },
        "ring": {
            "block_size": ring.block,
            "slots": rules.slots,
            "resident": len(rules.residency.slot_of),
            "arcs": [[a * ring.block, min(b * ring.block, ring.size)] for a, b in rules.residency.arcs()],
        },
        "head": ring.head,
        "delivered": delivered_before + sum(consumer.delivered for consumer in consumers),
        "readers": [_reader(ring, consumer, waits, statistics.rate) for consumer in consumers],
        "gauges": gauges,
    }


def _reader(ring: Ring, consumer: ReaderStatus, waits: Mapping[int, int], rate: float) -> dict[str, Any]:
    cursor = consumer.cursor
    waiting: str | int | None = None
    sweep_in: float | None = None
    if cursor.requests:
        blocker = waits.get(cursor.id)
        waiting = "source" if blocker is None else blocker
        if blocker is None and rate:
            sweep_in = round(ring.rules.ahead_of_head(cursor.requests[0].at) * ring.block / rate, 1)
    shown = {
        "id": consumer.id,
        "kind": consumer.kind,
        "pid": consumer.pid,
        "command": consumer.command,
        "start": consumer.start,
        "position": consumer.position,
        "left": consumer.left,
        "delivered": consumer.delivered,
        "live": not ring.rules.dormant(cursor, ring.clock()),
        "sequential": consumer.sequential,
        "waiting": waiting,
        "sweep_in": sweep_in,
    }
    return shown if consumer.target is None else {**shown, "target": consumer.target}


def render(document: dict[str, Any]) -> bytes:
    """Write the document as it is read from the mount."""
    return json.dumps(document, indent=1).encode() + b"\n"
