"""A status document from another computer, held against what those who show it take for granted. Pure."""

import json
from typing import Any

Document = dict[str, Any]

_NUMBER = (int, float)

_NEEDED: Document = {
    "pid": int,
    "head": int,
    "source": {"path": str, "identity": str, "size": int, "bytes_read": int, "errors": int},
    "ring": {"block_size": int, "slots": int, "resident": int, "arcs": list},
    "readers": list,
}

_NEEDED_OF_READERS: Document = {
    "id": int,
    "kind": str,
    "pid": int,
    "command": str,
    "start": (int, type(None)),
    "position": int,
    "left": int,
    "delivered": int,
    "live": bool,
    "sequential": bool,
    "waiting": (str, int, type(None)),
    "sweep_in": (*_NUMBER, type(None)),
}


def read_document(text: bytes) -> Document:
    """Read one; raises ValueError when it is none, or lacks a key that ours has."""
    try:
        document: Document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("it is no JSON") from error
    _has(document, _NEEDED)
    size, block = document["source"]["size"], document["ring"]["block_size"]
    if size <= 0 or block <= 0:
        raise ValueError("there is nothing of this size")
    for arc in document["ring"]["arcs"]:
        if not _is_arc(arc, size):
            raise ValueError(f"{arc!r} is no part of the image")
    for reader in document["readers"]:
        _has(reader, _NEEDED_OF_READERS)
        target, waiting = reader.get("target"), reader["waiting"]
        if not (reader["kind"].isprintable() and (target is None or isinstance(target, str))):
            raise ValueError("a reader has names that are none")
        if isinstance(waiting, str) and waiting != "source":
            raise ValueError(f"{waiting!r} is nothing to wait for")
    return document


def _has(found: object, needed: Document) -> None:
    """Raise ValueError unless all is there, and of its type."""
    if not isinstance(found, dict):
        raise ValueError(f"{found!r} is no object")  # noqa: TRY004 (json.loads has it so, too)
    for key, kind in needed.items():
        if key not in found:
            raise ValueError(f"it has no {key!r}")
        if isinstance(kind, dict):
            _has(found[key], kind)
        elif not isinstance(found[key], kind) or (isinstance(found[key], int) and abs(found[key]) >> 63):
            raise ValueError(f"{found[key]!r} is no {key!r}")


def _is_arc(arc: object, size: int) -> bool:
    match arc:
        case [int(begin), int(end)]:
            return 0 <= begin <= end <= size
    return False
