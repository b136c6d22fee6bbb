"""The status document as text for people."""

from typing import Any

from fanoutfs.status.text import printable, shorten
from fanoutfs.units import format_size


def describe(document: dict[str, Any]) -> str:
    """Write the document for people."""
    source, ring = document["source"], document["ring"]
    size = source["size"]
    read = f"{format_size(source['bytes_read'])}, {source['bytes_read'] / size:.2f} times its size"
    filled = f"{ring['resident']} of {ring['slots']} blocks of {format_size(ring['block_size'])} filled"
    lines = [
        f"source   {printable(source['path'])}, {format_size(size)}",
        f"read     {read}, {source['errors']} bad places",
        f"ring     {filled}, head at {document['head'] / size:.0%}",
    ]
    if (export := document.get("export")) is not None:
        lines.append(f"export   {printable(str(export['host']))}:{export['port']}, TLS: {export['tls']}")
    readers = document["readers"]
    if not readers:
        lines.append("readers  none")
    else:
        lines.append(f"{'reader':>8} {'pid':>8} {'who':16} {'at':>6} {'had':>10}  state")
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
    name = shorten(printable(reader.get("target") or reader["command"]), 16)
    return (
        f"{reader['id']:>8} {reader['pid']:>8} {name:16} {reader['position'] / size:>6.1%} "
        f"{format_size(reader['delivered']):>10}  {state}"
    )
