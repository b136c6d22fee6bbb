"""The content of the page, made from a status document: the browser lays it out. No I/O, no clock."""

from typing import Any

from fanoutfs.status.document import ReaderEntry, StatusDocument
from fanoutfs.status.extents import extents
from fanoutfs.status.rates import Speeds
from fanoutfs.status.text import countdown, format_rate
from fanoutfs.status.wording import (
    behind_text,
    by_id,
    emphasis,
    label,
    mounted_text,
    ring_text,
    source_text,
    state,
    summary,
    time_left,
    waiting_for,
)
from fanoutfs.units import format_size


def page_content(document: StatusDocument, speeds: Speeds) -> dict[str, Any]:
    """Return the texts by the ids of their elements, and a row for each reader."""
    source, readers = document.source, document.readers
    named, waiters = by_id(readers), waiting_for(readers)
    head = f"{document.head / source.size:.1%}"

    def row(reader: ReaderEntry) -> dict[str, Any]:
        waiting = waiters[reader.id]
        texts = [
            label(reader),
            state(reader, named, waiting, brief=False),
            reader.kind,
            f"{reader.position / source.size:.1%}",
            format_size(reader.delivered),
            behind_text(document, reader),
            format_rate(speeds.readers.get(reader.id)),
            countdown(time_left(reader, speeds)),
        ]
        received, to_go = extents(reader, source.size)
        shown = {"texts": texts, "emphasis": emphasis(reader, waiting).value, "waiters": waiting}
        return shown | {"received": received, "to_go": to_go}

    return {
        "title": f"{head} {source.path}" if readers else source.path,
        "spoken": f"{len(readers)} readers; {summary(readers, readers)}; head at {head}" if readers else "",
        "texts": {
            "source": source.path,
            "where": mounted_text(document),
            "read": source_text(source),
            "source-rate": format_rate(speeds.source),
            "head": f"{head} of {format_size(source.size)}",
            "ring": ring_text(document.ring),
            "together": format_rate(speeds.together),
            "errors": str(source.errors),
            "count": str(len(readers)),
        },
        "rows": [row(reader) for reader in readers],
    }
