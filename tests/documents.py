"""Status documents as a producer gives them, with what a test says and plain values for the rest."""

from typing import Any

from fanoutfs.units import MIB

SIZE = 1000 * MIB


def reader(number: int = 1, **said: Any) -> dict[str, Any]:
    """Give a reader of the image's first half, which reads."""
    return {
        "id": number,
        "kind": "image",
        "pid": 4700 + number,
        "command": "dd",
        "start": 0,
        "position": SIZE // 2,
        "left": SIZE - said.get("position", SIZE // 2),
        "delivered": said.get("position", SIZE // 2),
        "live": True,
        "sequential": True,
        "waiting": None,
        "sweep_in": None,
        **said,
    }


def document(*readers: dict[str, Any], **said: Any) -> dict[str, Any]:
    """Give a document with the head in the middle and the tenth before it in the ring."""
    source = {
        "path": "/dev/sdb",
        "size": SIZE,
        "bytes_read": SIZE // 2,
        "reads": 63,
        "errors": 0,
        "changed": 0,
    }
    ring = {"block_size": MIB, "slots": 100, "resident": 100, "arcs": [[400 * MIB, 500 * MIB]]}
    return {
        "pid": 4242,
        "source": {**source, "identity": "8:16", "reading": True, **said.pop("source", {})},
        "ring": {**ring, **said.pop("ring", {})},
        "head": SIZE // 2,
        "readers": list(readers),
        "gauges": {},
        **said,
    }
