"""Fills the status document from the state of an engine."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal, Protocol

from fanoutfs.ring.cursor import Cursor
from fanoutfs.ring.ring import Ring
from fanoutfs.source.contract import Source
from fanoutfs.source.counters import Counters
from fanoutfs.source.pipe_source import PipeSource
from fanoutfs.source.salvage import Salvage
from fanoutfs.source.spool import Spool
from fanoutfs.source.wrapper import find_layer
from fanoutfs.status.document import (
    SOURCE,
    ExportEntry,
    Gauges,
    PipeEntry,
    ReaderEntry,
    RingEntry,
    SourceEntry,
    SpoolEntry,
    StatusDocument,
    as_plain,
)


class ReaderStatus(Protocol):
    """What the status shows of a reader of any kind."""

    @property
    def id(self) -> int:
        """Its number, which the producer never reuses."""

    @property
    def pid(self) -> int:
        """The process that opened the file, or that copies."""

    @property
    def command(self) -> str:
        """The name of that process."""

    @property
    def kind(self) -> str:
        """How it reads: the file that it opened, or "copy"."""

    @property
    def target(self) -> str | None:
        """What it writes to, if that is known."""

    @property
    def cursor(self) -> Cursor:
        """Its cursor in the rules."""

    @property
    def start(self) -> int | None:
        """The offset of its first read in bytes; None: it has not read yet."""

    @property
    def position(self) -> int:
        """The offset of the next byte that it needs."""

    @property
    def left(self) -> int:
        """Bytes from there to the end of its file."""

    @property
    def delivered(self) -> int:
        """Bytes delivered to it."""

    @property
    def sequential(self) -> bool:
        """Whether it reads sequentially."""


def snapshot(
    source: Source,
    statistics: Counters,
    ring: Ring,
    consumers: Iterable[ReaderStatus],
    gauges: Gauges,
    mountpoint: Path | None,
    delivered_before: int,
    export: ExportEntry | None,
    read_rate: int | None,
    salvage: Salvage | None = None,
) -> StatusDocument:
    """Return the document; ``delivered_before`` counts the bytes delivered to readers that have left."""
    rules = ring.rules
    consumers = list(consumers)
    waits = rules.waits(ring.clock())
    pipe, spool = find_layer(source, PipeSource), find_layer(source, Spool)
    places, bad, left = (0, 0, 0) if salvage is None else salvage.map.totals()
    return StatusDocument(
        pid=os.getpid(),
        mountpoint=None if mountpoint is None else str(mountpoint),
        export=export,
        source=SourceEntry(
            path=source.path,
            identity=source.identity,
            origin=source.origin or source.identity,
            size=source.size,
            data=ring.layout.read_size,
            bytes_read=statistics.bytes_read if spool is None else spool.taken,
            reads=statistics.reads,
            read_rate=read_rate,
            errors=statistics.errors,
            on_read_error="zero" if salvage is not None and salvage.zero else "fail",
            bad_places=places,
            bad_bytes=bad,
            left_bytes=left,
            changed=statistics.changed,
            written=statistics.written,
            reading=ring.arrivals.is_reading,
        ),
        pipe=None
        if pipe is None
        else PipeEntry(
            taken=pipe.arrived,
            ended=pipe.ended,
            size_known=pipe.size_is_known,
            surplus=pipe.surplus(),
            trouble=pipe.trouble,
        ),
        spool=None
        if spool is None
        else SpoolEntry(folder=str(spool.folder), kept=spool.kept, trouble=spool.trouble),
        ring=RingEntry(
            block_size=ring.block,
            slots=rules.slots,
            resident=len(rules.residency.slot_of),
            arcs=list(_arcs(ring)),
        ),
        head=ring.head,
        delivered=delivered_before + sum(consumer.delivered for consumer in consumers),
        readers=[_reader(ring, consumer, waits, statistics.rate) for consumer in consumers],
        gauges=gauges,
    )


def _arcs(ring: Ring) -> Iterator[tuple[int, int]]:
    """Yield the resident parts of the image in bytes, [begin, end)."""
    layout = ring.layout
    for begin, end in ring.rules.residency.arcs():
        for first, count in layout.adjoining(begin, end - begin):
            yield first * ring.block, min((first + count) * ring.block, layout.size)


def _reader(ring: Ring, consumer: ReaderStatus, waits: Mapping[int, int], rate: float) -> ReaderEntry:
    cursor = consumer.cursor
    waiting: int | Literal["source"] | None = None
    sweep_in: float | None = None
    if cursor.requests:
        blocker = waits.get(cursor.id)
        waiting = blocker or SOURCE
        if blocker is None and rate:
            sweep_in = round(ring.rules.ahead_of_head(cursor.requests[0].at) * ring.block / rate, 1)
    return ReaderEntry(
        id=consumer.id,
        kind=consumer.kind,
        pid=consumer.pid,
        command=consumer.command,
        target=consumer.target,
        start=consumer.start,
        position=consumer.position,
        left=consumer.left,
        delivered=consumer.delivered,
        live=not ring.rules.dormant(cursor, ring.clock()),
        sequential=consumer.sequential,
        waiting=waiting,
        sweep_in=sweep_in,
    )


_READER = json.JSONEncoder(separators=(",\n   ", ": "))
"""Writes a flat object as json does with indent=1, two levels deep."""


def render(document: StatusDocument) -> bytes:
    """Return the document as it is read from the mount: JSON with indent=1.

    With an indent json uses its encoder in Python, which takes 19 ms for 1,000 readers, and the engine serves
    no read meanwhile. The entries of readers are flat: the encoder in C writes the same text in 5 ms.
    """
    plain = as_plain(document)
    readers, plain["readers"] = plain["readers"], []
    text = json.dumps(plain, indent=1)
    if readers:
        entries = ",\n".join(f"  {{\n   {_READER.encode(reader)[1:-1]}\n  }}" for reader in readers)
        text = text.replace('"readers": []', f'"readers": [\n{entries}\n ]')
    return text.encode() + b"\n"
