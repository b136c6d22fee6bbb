"""The text that describes readers, one at a time and as a group. No I/O, no clock."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

from fanoutfs.status.document import SOURCE, ReaderEntry, RingEntry, SourceEntry, StatusDocument
from fanoutfs.status.rates import Speeds
from fanoutfs.status.text import fit_rows, format_rate, printable, shorten
from fanoutfs.units import format_seconds, format_size

SWEEP = 1.0
"""Seconds; a sequential pass that arrives sooner is not mentioned."""

LONGEST_NAME = 20
"""Characters of a command or target that identifies a reader in the text of another."""

BRIEF_NAME = 10
"""The same in a narrow terminal."""

NAMED = 2
"""How many of the readers that others wait for are named in the summary."""


def source_text(source: SourceEntry) -> str:
    """Return how much of the source has been read: 500 MiB, 0.50 times the image, or what it has of data."""
    data = source.data or source.size
    what = f"its {format_size(data)} of data" if data < source.size else "the image"
    return f"{format_size(source.bytes_read)}, {source.bytes_read / data:.2f} times {what}"


def limit_text(source: SourceEntry) -> str:
    """Return the limit set with ``--read-rate``, to be appended to a rate; empty without one."""
    return "" if source.read_rate is None else f" (limit {format_rate(source.read_rate)})"


def bad_text(source: SourceEntry) -> str:
    """Return what of the source can't be read: 2 bad places (1 KiB, zeros for readers)."""
    if not (source.bad_places or source.left_bytes):
        return f"{source.errors} bad places"
    zeros = ", zeros for readers" if source.on_read_error == "zero" else ""
    left = f"; {format_size(source.left_bytes)} in bad areas left for later" if source.left_bytes else ""
    return f"{source.bad_places} bad places ({format_size(source.bad_bytes)}{zeros}){left}"


def ring_text(ring: RingEntry) -> str:
    """Return how much of the ring is filled."""
    return f"{ring.resident} of {ring.slots} blocks of {format_size(ring.block_size)} filled"


def mounted_text(document: StatusDocument) -> str:
    """Return where the image is mounted."""
    return "not mounted" if document.mountpoint is None else f"on {printable(document.mountpoint)}"


def label(reader: ReaderEntry) -> str:
    """Return what identifies a reader: the target that it writes to, or its command."""
    return printable(reader.target or reader.command)


def by_id(readers: Iterable[ReaderEntry]) -> dict[int, ReaderEntry]:
    """Return the readers by their ids."""
    return {reader.id: reader for reader in readers}


def waiting_for(readers: Iterable[ReaderEntry]) -> Counter[int]:
    """Return how many readers wait for each reader, by the id of the latter."""
    waits = (reader.waiting for reader in readers)
    return Counter(holder for holder in waits if isinstance(holder, int))


def has_all(reader: ReaderEntry) -> bool:
    """Return whether a reader has received its last byte."""
    return reader.left == 0


def lag(document: StatusDocument, reader: ReaderEntry) -> int | None:
    """Return the bytes from a reader to the head, going round; None if it has not started or is complete."""
    if has_all(reader) or reader.start is None:
        return None
    return (document.head - reader.position) % document.source.size


def behind_text(document: StatusDocument, reader: ReaderEntry) -> str:
    """Return how far a reader is behind the head, going round."""
    behind = lag(document, reader)
    return "-" if behind is None else format_size(behind)


class Doing(Enum):
    """What a reader does, with the text for one of a group."""

    NOT_BEGUN = "not started"
    WAITS_FOR_SOURCE = "waiting for the source"
    WAITS_FOR_READER = "waiting for a reader"
    HAS_ALL = "complete"
    DORMANT = "dormant"
    READS = "reading"
    JUMPS = "reading non-sequentially"


def doing(reader: ReaderEntry) -> Doing:
    """Return what a reader does."""
    if reader.waiting is not None:
        return Doing.WAITS_FOR_SOURCE if reader.waiting == SOURCE else Doing.WAITS_FOR_READER
    if reader.start is None:
        return Doing.NOT_BEGUN
    if has_all(reader):
        return Doing.HAS_ALL
    if not reader.live:
        return Doing.DORMANT
    return Doing.READS if reader.sequential else Doing.JUMPS


class Emphasis(Enum):
    """How a reader stands out where several are shown."""

    HOLDS = "holds"
    """Other readers wait for it."""
    WAITS = "waits"
    """It waits for another reader."""
    IDLE = "idle"
    READS = "reads"


def emphasis(reader: ReaderEntry, waiters: int) -> Emphasis:
    """Return how a reader stands out; ``waiters`` is the number of readers that wait for it."""
    if waiters:
        return Emphasis.HOLDS
    does = doing(reader)
    if does is Doing.WAITS_FOR_READER:
        return Emphasis.WAITS
    return Emphasis.IDLE if does in (Doing.NOT_BEGUN, Doing.HAS_ALL, Doing.DORMANT) else Emphasis.READS


ALONE = {
    Doing.NOT_BEGUN: "has not read yet",
    Doing.WAITS_FOR_SOURCE: "waits for the source",
    Doing.HAS_ALL: "complete",
    Doing.DORMANT: "dormant; no reader waits for it",
    Doing.READS: "reads",
    Doing.JUMPS: "reads non-sequentially",
}
"""The text for a single reader."""


def state(reader: ReaderEntry, named: Mapping[int, ReaderEntry], waiters: int, *, brief: bool) -> str:
    """Return what a reader does.

    ``waiters`` is the number of readers that wait for it, ``named`` has all readers by their ids.
    """
    text, sweep = waits_text(reader, named, brief=brief), reader.sweep_in
    if text is None:
        text = ALONE[doing(reader)]
    elif reader.waiting == SOURCE and sweep is not None and sweep >= SWEEP:
        soon = format_seconds(round(sweep))
        text += f", {soon}" if brief else f"; the sequential pass arrives in about {soon}"
    if waiters:
        text += f"; {waiters} wait{'s' * (waiters == 1)} for it"
    return text


def waits_text(reader: ReaderEntry, named: Mapping[int, ReaderEntry], *, brief: bool = False) -> str | None:
    """Return what a reader waits for; None if it does not wait."""
    if reader.waiting is None:
        return None
    if reader.waiting == SOURCE:
        return ALONE[Doing.WAITS_FOR_SOURCE]
    longest = BRIEF_NAME if brief else LONGEST_NAME
    return f"waits for {'' if brief else 'reader '}{name(reader.waiting, named, longest)}"


def name(reader_id: int, named: Mapping[int, ReaderEntry], longest: int) -> str:
    """Return a reader's number, its command or target, and its process."""
    reader = named.get(reader_id)
    if reader is None:
        return str(reader_id)
    return f"{reader_id} ({shorten(label(reader), longest)}, pid {reader.pid})"


def time_left(reader: ReaderEntry, speeds: Speeds) -> float | None:
    """Return about how many seconds a reader needs to its end; None if that can't be estimated.

    The rate of a reader that waits for the sequential pass says nothing, because its blocks are fetched out
    of order. When the pass arrives, the reader continues at the rate of the source at best.
    """
    if has_all(reader) or not (reader.live and reader.sequential):
        return None
    sweep = reader.sweep_in
    if sweep is not None and sweep >= SWEEP:
        return sweep + reader.left / speeds.source if speeds.source else None
    rate = speeds.readers.get(reader.id)
    return reader.left / rate if rate else None


def summary(readers: Sequence[ReaderEntry], everyone: Sequence[ReaderEntry]) -> str:
    """Count what ``readers`` do, most frequent first; the two that most readers wait for are named."""
    named = by_id(everyone)
    counted: Counter[str] = Counter()
    for rank, (holder, count) in enumerate(waiting_for(readers).most_common()):
        whom = f"reader {name(holder, named, LONGEST_NAME)}" if rank < NAMED else "other readers"
        counted[f"waiting for {whom}"] += count
    counted.update(doing(reader).value for reader in readers if not isinstance(reader.waiting, int))
    return ", ".join(f"{count} {text}" for text, count in counted.most_common())


def choose(readers: list[ReaderEntry], rows: int) -> tuple[list[ReaderEntry], list[ReaderEntry]]:
    """Return the readers that get a row, and the rest, each in their order.

    Readers that others wait for get a row first: they are what the user looks for.
    """
    waiters = waiting_for(readers)
    return fit_rows(readers, rows, lambda reader: -waiters[reader.id])
