"""Status documents with what a test says and plain values for the rest."""

from typing import Any

from fanoutfs.status.document import ReaderEntry, RingEntry, SourceEntry, StatusDocument
from fanoutfs.units import MIB

SIZE = 1000 * MIB


def reader(number: int = 1, **said: Any) -> ReaderEntry:
    """Return a reader of the image's first half, which reads."""
    position = said.get("position", SIZE // 2)
    values: dict[str, Any] = {
        "kind": "image",
        "pid": 4700 + number,
        "command": "dd",
        "start": 0,
        "position": position,
        "left": SIZE - position,
        "delivered": position,
        "live": True,
        "sequential": True,
        "waiting": None,
        "sweep_in": None,
    }
    return ReaderEntry(**{"id": number, **values, **said})


def document(*readers: ReaderEntry, **said: Any) -> StatusDocument:
    """Return a document with the head in the middle and the tenth before it in the ring."""
    source: dict[str, Any] = {
        "path": "/dev/sdb",
        "identity": "8:16",
        "size": SIZE,
        "bytes_read": SIZE // 2,
        "reads": 63,
        "errors": 0,
        "changed": 0,
        "reading": True,
    }
    ring: dict[str, Any] = {
        "block_size": MIB,
        "slots": 100,
        "resident": 100,
        "arcs": [(400 * MIB, 500 * MIB)],
    }
    return StatusDocument(
        source=SourceEntry(**{**source, **said.pop("source", {})}),
        ring=RingEntry(**{**ring, **said.pop("ring", {})}),
        readers=list(readers),
        **{"pid": 4242, "head": SIZE // 2, **said},
    )
