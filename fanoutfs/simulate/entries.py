"""Parse the entries of a trace or of options: sizes, rates, times, readers; one clear line for each error."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain, islice
from typing import Any, get_args

import attrs

from fanoutfs.errors import UsageError
from fanoutfs.simulate.scenario import Order, SimulatedReader, Stall
from fanoutfs.units import parse_seconds, parse_size

MOST_READERS = 100_000

_BITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}

Parser = Callable[[Any], Any]
"""It raises UsageError for a value that can't be used."""


def within(where: object, parse: Parser, value: object) -> Any:
    """Return the parsed value; an error begins with ``where``, the name or number of the entry."""
    try:
        return parse(value)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def read_entries(parsers: Mapping[str, Parser], entries: object) -> dict[str, Any]:
    """Return the parsed entries; names with - become names with _."""
    if not isinstance(entries, Mapping):
        raise UsageError(f"expected entries (name: value), not {entries!r}")
    for name in entries:
        if name not in parsers:
            raise UsageError(f"{name} is not known; there are: {', '.join(parsers)}")
    return {name.replace("-", "_"): within(name, parsers[name], value) for name, value in entries.items()}


def each(parse: Parser, value: object) -> Iterator[Any]:
    """Return the parsed items of a list; an error begins with the number of the item."""
    if not isinstance(value, list):
        raise UsageError(f"expected a list, each entry on a line that begins with -, not {value!r}")
    return (within(number, parse, item) for number, item in enumerate(value, 1))


def several(value: object) -> list[Any]:
    """Return the items of a list, or of a text with commas."""
    return value if isinstance(value, list) else str(value).split(",")


def size(value: object) -> int:
    """Return the bytes of a text such as 64M."""
    return parse_size(str(value))


def rate(value: object) -> float:
    """Return the bytes per second of a size, or of a text such as 10Gbit; infinity for ``unlimited``."""
    if value == "unlimited":
        return math.inf
    bits = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)bit(?:/s)?\s*", str(value), re.IGNORECASE | re.ASCII)
    if bits is None or not float(bits[1]):
        return float(size(value))
    return float(bits[1]) * _BITS[bits[2].upper()] / 8


def reader_rate(value: object) -> float | None:
    """Return the bytes per second that a reader reads at most; None for ``unlimited``."""
    found = rate(value)
    return None if found == math.inf else found


def above_zero(value: object) -> float:
    """Return seconds; raise UsageError for 0."""
    seconds = parse_seconds(value)
    if seconds == 0:
        raise UsageError("must be more than 0 seconds")
    return seconds


def one_of(choices: tuple[str, ...]) -> Parser:
    """Return a parser that accepts one of ``choices``."""

    def parse(value: object) -> object:
        if value not in choices:
            raise UsageError(f"{value!r} is not one of {', '.join(choices)}")
        return value

    return parse


def count(most: int, what: str) -> Callable[[object], int]:
    """Return a parser of numbers from 1 to ``most``; the message names ``what`` they count."""

    def parse(value: object) -> int:
        if not re.fullmatch(r"[0-9]+", str(value)) or not 0 < int(str(value)) <= most:
            raise UsageError(f"{value!r} is not a number of {what} from 1 to {most}")
        return int(str(value))

    return parse


def readers(value: object, **usual: Any) -> tuple[SimulatedReader, ...]:
    """Return the readers of a list of entries; ``usual`` has the fields that an entry need not set."""
    groups = each(partial(_group, usual), value)
    found = tuple(islice(chain.from_iterable(groups), MOST_READERS + 1))
    if not found:
        raise UsageError("there are no readers")
    if len(found) > MOST_READERS:
        raise UsageError(f"more than {MOST_READERS} readers")
    return found


def _group(usual: dict[str, Any], entry: object) -> list[SimulatedReader]:
    values = usual | read_entries(_READER, entry)
    number, every = values.pop("count", 1), values.pop("every", 0.0)
    first = SimulatedReader(**values)
    if first.leaves is not None and first.leaves < first.at + (number - 1) * every:
        raise UsageError("a reader leaves before it comes")
    return [attrs.evolve(first, at=first.at + i * every) for i in range(number)]


def _stall(entry: object) -> Stall:
    values = read_entries({"at": parse_seconds, "position": size, "for": above_zero}, entry)
    if ("at" in values) == ("position" in values) or "for" not in values:
        raise UsageError("needs for: and either at: (a time) or position: (a size)")
    return Stall(seconds=values.pop("for"), **values)


_READER: dict[str, Parser] = {
    "at": parse_seconds,
    "count": count(MOST_READERS, "readers"),
    "every": parse_seconds,
    "rate": reader_rate,
    "order": one_of(get_args(Order)),
    "stalls": lambda value: tuple(each(_stall, value)),
    "leaves": parse_seconds,
}
