"""The status document: one definition that writes it, types it, checks it and documents it.

Its keys are a contract. ``engine/snapshot.py`` fills it, ``status/parse.py`` checks one from another
process, and ``contrib/status-page`` writes ``docs/status.md`` from the metadata here.
"""

from typing import Any, Literal

import attrs

VERSION = 1
"""Rises when a key changes its meaning or is removed; a new key leaves it as it is."""

SOURCE: Literal["source"] = "source"
"""In ``ReaderEntry.waiting``: the reader waits for the source."""


def key(meaning: str, unit: str = "") -> dict[str, str]:
    """Return the metadata of a key: what its page says."""
    return {"meaning": meaning, "unit": unit}


@attrs.frozen(kw_only=True)
class SourceEntry:
    """The source."""

    path: str = attrs.field(metadata=key("path or URL, as the user gave it; a path is absolute"))
    identity: str = attrs.field(
        metadata=key("the same for the same disk or file on this computer, whatever its path")
    )
    origin: str = attrs.field(
        default="",
        metadata=key("the identity on the computer where the data comes from; `identity` for a local source"),
    )
    size: int = attrs.field(metadata=key("size of the image", "bytes"))
    data: int | None = attrs.field(
        default=None,
        metadata=key(
            "what of it is read, in whole blocks; the rest is holes, or left out by `--only`", "bytes"
        ),
    )
    bytes_read: int = attrs.field(metadata=key("read from the source since the producer started", "bytes"))
    reads: int = attrs.field(default=0, metadata=key("reads of the source, each of one or more blocks"))
    read_rate: int | None = attrs.field(
        default=None, metadata=key("limit set with `--read-rate`; null: no limit", "bytes per second")
    )
    errors: int = attrs.field(metadata=key("places that could not be read"))
    on_read_error: str = attrs.field(
        default="fail",
        metadata=key("what readers get where the source can't be read: `fail`, an error, or `zero`, zeros"),
    )
    bad_places: int = attrs.field(default=0, metadata=key("places known to be bad, adjoining sectors as one"))
    bad_bytes: int = attrs.field(default=0, metadata=key("their size", "bytes"))
    left_bytes: int = attrs.field(
        default=0, metadata=key("in bad areas that were left for later, and may yet be readable", "bytes")
    )
    changed: int = attrs.field(
        default=0,
        metadata=key(
            "blocks whose content differed when they were read a second time; counted only while a client "
            "follows `/digests`"
        ),
    )
    written: bool = attrs.field(
        default=False,
        metadata=key("whether the source, a file, was written to since it was opened: copies may be mixed"),
    )
    reading: bool = attrs.field(default=False, metadata=key("whether a read of the source is in progress"))


@attrs.frozen(kw_only=True)
class RingEntry:
    """The ring."""

    block_size: int = attrs.field(metadata=key("size of a block", "bytes"))
    slots: int = attrs.field(metadata=key("blocks that the ring can hold"))
    resident: int = attrs.field(metadata=key("blocks that the ring holds"))
    arcs: list[tuple[int, int]] = attrs.field(
        metadata=key("the resident parts of the image: [begin, end), in ascending order", "bytes")
    )


@attrs.frozen(kw_only=True)
class ReaderEntry:
    """A reader."""

    id: int = attrs.field(metadata=key("number of the reader; the producer never reuses it"))
    kind: str = attrs.field(
        metadata=key(
            "`image` or `carousel`: it reads that file of the mount; `copy`: it is a `fanoutfs copy`"
        )
    )
    pid: int = attrs.field(metadata=key("process that opened the file, or that copies"))
    command: str = attrs.field(metadata=key("name of that process"))
    target: str | None = attrs.field(
        default=None, metadata=key("what a copy writes to; null for other readers")
    )
    start: int | None = attrs.field(
        metadata=key("offset in the image of its first read; null: it has not read yet", "bytes")
    )
    position: int = attrs.field(metadata=key("offset in the image of the next byte that it needs", "bytes"))
    left: int = attrs.field(
        metadata=key("from `position` to the end of its file; for a copy, without holes", "bytes")
    )
    delivered: int = attrs.field(metadata=key("delivered to it so far", "bytes"))
    live: bool = attrs.field(
        metadata=key("false: it has not read for longer than `--patience`, and nothing waits for it")
    )
    sequential: bool = attrs.field(metadata=key("whether it reads sequentially"))
    waiting: int | Literal["source"] | None = attrs.field(
        metadata=key(
            'null: it does not wait; "source": its block is being read, or will be; a number: the `id` of '
            "the reader that it waits for"
        )
    )
    sweep_in: float | None = attrs.field(
        metadata=key(
            "estimated time until the sequential pass reaches a reader that waits for the source, at the "
            "average rate of the source so far; until then its blocks are fetched out of order",
            "seconds",
        )
    )


@attrs.frozen(kw_only=True)
class ExportEntry:
    """The NBD export."""

    host: str = attrs.field(metadata=key("host or address, as the user gave it"))
    port: int = attrs.field(metadata=key("TCP port"))
    name: str = attrs.field(metadata=key("name of the export"))
    tls: str = attrs.field(metadata=key("`none`, `certificates` or `psk`"))


@attrs.frozen(kw_only=True)
class PipeEntry:
    """The pipe that is the source, or is spooled."""

    taken: int = attrs.field(metadata=key("taken from the pipe so far", "bytes"))
    ended: bool = attrs.field(metadata=key("whether its end has come, or it has broken"))
    size_known: bool = attrs.field(
        metadata=key("false: `source.size` is only larger than any size, until the end has come")
    )
    surplus: bool = attrs.field(metadata=key("whether it goes on after the size given with `--size`"))
    trouble: str | None = attrs.field(metadata=key("why no more comes, if that is an error; else null"))


@attrs.frozen(kw_only=True)
class SpoolEntry:
    """The spool."""

    folder: str = attrs.field(metadata=key("folder of its file, which has no name"))
    kept: int = attrs.field(metadata=key("bytes of the source that it holds", "bytes"))
    trouble: str | None = attrs.field(metadata=key("why it takes no more; null: it does"))


@attrs.frozen(kw_only=True)
class Gauges:
    """Resources in use. All are 0 when there are no readers, `handler_bugs` if there was no bug."""

    handles: int = attrs.field(default=0, metadata=key("open files and copies"))
    waiting: int = attrs.field(default=0, metadata=key("reads that wait for a block"))
    slots_held: int = attrs.field(default=0, metadata=key("blocks of the ring that a reader still needs"))
    granted: int = attrs.field(default=0, metadata=key("blocks lent to copies, counted once for each copy"))
    handler_bugs: int = attrs.field(
        default=0, metadata=key("requests that failed because of a bug in fanoutfs")
    )


@attrs.frozen(kw_only=True)
class StatusDocument:
    """The document."""

    version: int = attrs.field(
        default=VERSION,
        metadata=key("version of the document: rises when a key changes its meaning or is removed"),
    )
    pid: int = attrs.field(metadata=key("process of the producer"))
    mountpoint: str | None = attrs.field(default=None, metadata=key("mount point; null: not mounted"))
    export: ExportEntry | None = attrs.field(
        default=None, metadata=key("where the image can be read over NBD; null: nowhere")
    )
    source: SourceEntry = attrs.field(metadata=key("the source"))
    pipe: PipeEntry | None = attrs.field(
        default=None, metadata=key("the pipe from which the source is read; null: it is not a pipe")
    )
    spool: SpoolEntry | None = attrs.field(
        default=None, metadata=key("where what was read is kept; null: nowhere")
    )
    ring: RingEntry = attrs.field(metadata=key("the ring"))
    head: int = attrs.field(metadata=key("offset in the image where the source is read next", "bytes"))
    delivered: int = attrs.field(
        default=0, metadata=key("delivered to all readers, including those that have left", "bytes")
    )
    readers: list[ReaderEntry] = attrs.field(metadata=key("the readers"))
    gauges: Gauges = attrs.field(factory=Gauges, metadata=key("resources in use"))


def as_plain(document: StatusDocument) -> dict[str, Any]:
    """Return a document as plain data for JSON.

    With ``recurse`` attrs copies each arc of the ring, too: thousands where many readers are far apart.
    """
    plain = attrs.asdict(document, recurse=False)
    parts = {name: attrs.asdict(part, recurse=False) for name, part in plain.items() if attrs.has(type(part))}
    readers = [attrs.asdict(reader, recurse=False) for reader in document.readers]
    return {**plain, **parts, "readers": readers}
