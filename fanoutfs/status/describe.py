"""The status document as text for people."""

from collections.abc import Mapping

from fanoutfs.status.document import ReaderEntry, StatusDocument
from fanoutfs.status.text import printable, shorten
from fanoutfs.status.wording import (
    bad_text,
    by_id,
    label,
    limit_text,
    mounted_text,
    ring_text,
    source_text,
    state,
    waiting_for,
)
from fanoutfs.units import format_size


def describe(document: StatusDocument) -> str:
    """Return the document as lines of text."""
    source, size = document.source, document.source.size
    lines = [
        f"source   {printable(source.path)}, {format_size(size)}",
        f"read     {source_text(source)}{limit_text(source)}, {bad_text(source)}",
        f"ring     {ring_text(document.ring)}, head at {document.head / size:.0%}",
    ]
    if (export := document.export) is not None:
        lines.append(f"export   {printable(export.host)}:{export.port}, TLS: {printable(export.tls)}")
    readers = document.readers
    if not readers:
        lines.append("readers  none")
    else:
        lines.append(f"{'reader':>8} {'pid':>8} {'name':16} {'at':>6} {'received':>10}  state")
        named, waiters = by_id(readers), waiting_for(readers)
        lines += [_describe_reader(reader, size, named, waiters[reader.id]) for reader in readers]
    return "\n".join(lines)


def describe_producers(documents: list[StatusDocument]) -> str:
    """Return a line for each running producer."""
    if not documents:
        return "no producer is running"
    return "\n".join(
        f"{printable(document.source.path)}  {mounted_text(document)}, pid {document.pid}, "
        f"{len(document.readers)} reader{'s' * (len(document.readers) != 1)}"
        for document in documents
    )


def _describe_reader(reader: ReaderEntry, size: int, named: Mapping[int, ReaderEntry], waiters: int) -> str:
    return (
        f"{reader.id:>8} {reader.pid:>8} {shorten(label(reader), 16):16} {reader.position / size:>6.1%} "
        f"{format_size(reader.delivered):>10}  {state(reader, named, waiters, brief=False)}"
    )
