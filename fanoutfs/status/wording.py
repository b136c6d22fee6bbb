"""What is said of readers, one by one and as a crowd, from their entries in the status document. Pure."""

from collections import Counter
from collections.abc import Iterable
from enum import Enum
from typing import Any

from fanoutfs.status.rates import Speeds
from fanoutfs.status.text import printable, shorten
from fanoutfs.units import format_seconds

Reader = dict[str, Any]

SWEEP = 1.0
"""A sweep that comes sooner, in seconds, is not worth telling."""

LONGEST_NAME = 20
"""Letters of a command or a target where another reader is told by it."""

BRIEF_NAME = 10
"""The same where there is little room."""

NAMED = 2
"""So many of those who are waited for are named in the line on the crowd."""


def who(reader: Reader) -> str:
    """Name a reader: the target that it writes, else its command."""
    return printable(reader.get("target") or reader["command"])


def held_up(readers: Iterable[Reader]) -> Counter[int]:
    """Count, by the id of who is waited for, those who wait for it."""
    waits = (reader["waiting"] for reader in readers)
    return Counter(holder for holder in waits if isinstance(holder, int))


def has_all(reader: Reader) -> bool:
    """Say whether a reader has had its last byte."""
    return bool(reader["left"] == 0)


class Doing(Enum):
    """What a reader does, with the words for one of a crowd."""

    NOT_BEGUN = "not begun"
    WAITS_FOR_SOURCE = "waiting for the source"
    WAITS_FOR_READER = "waiting for a reader"
    HAS_ALL = "with all of it"
    DORMANT = "dormant"
    READS = "reading"
    JUMPS = "reading here and there"


def doing(reader: Reader) -> Doing:
    """Give what a reader does."""
    if reader["waiting"] is not None:
        return Doing.WAITS_FOR_SOURCE if reader["waiting"] == "source" else Doing.WAITS_FOR_READER
    if reader["start"] is None:
        return Doing.NOT_BEGUN
    if has_all(reader):
        return Doing.HAS_ALL
    if not reader["live"]:
        return Doing.DORMANT
    return Doing.READS if reader["sequential"] else Doing.JUMPS


ALONE = {
    Doing.NOT_BEGUN: "has not read yet",
    Doing.WAITS_FOR_SOURCE: "waits for the source",
    Doing.HAS_ALL: "has all of it",
    Doing.DORMANT: "dormant, nobody waits for it",
    Doing.READS: "reads",
    Doing.JUMPS: "reads here and there",
}
"""The words for a reader by itself."""


def state(reader: Reader, named: dict[int, Reader], holds: int, *, brief: bool) -> str:
    """Say what a reader does; ``holds`` is how many wait for it, ``named`` has all readers by their ids."""
    does, sweep = doing(reader), reader["sweep_in"]
    if does is Doing.WAITS_FOR_READER:
        longest = BRIEF_NAME if brief else LONGEST_NAME
        words = f"waits for {'' if brief else 'reader '}{name(reader['waiting'], named, longest)}"
    elif does is Doing.WAITS_FOR_SOURCE and sweep is not None and sweep >= SWEEP:
        soon = format_seconds(round(sweep))
        words = "waits for source, " + (soon if brief else f"the sweep comes in about {soon}")
    else:
        words = ALONE[does]
    if holds:
        words += f"; holds {holds}" if brief else f"; {holds} wait{'s' * (holds == 1)} for it"
    return words


def name(reader_id: int, named: dict[int, Reader], longest: int) -> str:
    """Name a reader so that it can be found: its number, its command or target, its process."""
    reader = named.get(reader_id)
    if reader is None:
        return str(reader_id)
    return f"{reader_id} ({shorten(who(reader), longest)}, pid {reader['pid']})"


def time_left(reader: Reader, speeds: Speeds) -> float | None:
    """Give about how many seconds a reader needs to its end; None when nothing says so.

    Who waits for the sweep lives on detours, whose rate tells nothing: it goes on at the source's, at best,
    when the sweep has come.
    """
    if has_all(reader) or not (reader["live"] and reader["sequential"]):
        return None
    sweep = reader["sweep_in"]
    if sweep is not None and sweep >= SWEEP:
        return sweep + reader["left"] / speeds.source if speeds.source else None
    rate = speeds.readers.get(reader["id"])
    return reader["left"] / rate if rate else None


def crowd(readers: list[Reader], everybody: list[Reader]) -> str:
    """Count which of ``readers`` do what; the many first, and of those they wait for the two with most."""
    named = {reader["id"]: reader for reader in everybody}
    said: Counter[str] = Counter()
    for place, (holder, count) in enumerate(held_up(readers).most_common()):
        whom = f"reader {name(holder, named, LONGEST_NAME)}" if place < NAMED else "other readers"
        said[f"waiting for {whom}"] += count
    others = (doing(reader).value for reader in readers if not isinstance(reader["waiting"], int))
    said.update(others)
    return ", ".join(f"{count} {words}" for words, count in said.most_common())


def choose(readers: list[Reader], rows: int) -> tuple[list[Reader], list[Reader]]:
    """Give those who have a row, and the rest, each as they came.

    Who holds others up is always among the first: it is what somebody looks for. When not all fit, a row is
    kept for the words on the rest.
    """
    if len(readers) <= rows:
        return readers, []
    holds = held_up(readers)
    ranked = sorted(range(len(readers)), key=lambda i: (-holds[readers[i]["id"]], i))
    chosen = set(ranked[: max(0, rows - 1)])
    shown = [reader for i, reader in enumerate(readers) if i in chosen]
    return shown, [reader for i, reader in enumerate(readers) if i not in chosen]
