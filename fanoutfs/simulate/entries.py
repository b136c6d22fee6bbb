"""Parse the entries of a YAML file or of options: sizes, rates, times; one clear line for each error."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from fanoutfs.errors import UsageError
from fanoutfs.units import parse_seconds, parse_size

_BITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def read_entries(where: str, entries: object, readers: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """Read each entry by its name; names with - become names with _.

    Raises UsageError with the entry's name and what is wrong with it.
    """
    if not isinstance(entries, Mapping):
        raise UsageError(f"{where.rstrip('.') or 'trace'}: expected entries (name: value), not {entries!r}")
    values = {}
    for name, value in entries.items():
        if name not in readers:
            raise UsageError(f"{where}{name} is not known; there are: {', '.join(readers)}")
        try:
            values[name.replace("-", "_")] = readers[name](value)
        except UsageError as error:
            named = str(error).startswith(f"{where}{name}")
            raise UsageError(str(error) if named else f"{where}{name}: {error}") from error
    return values


def size(value: object) -> int:
    """Return the bytes that a text such as 64M names."""
    return parse_size(str(value))


def sizes(value: object) -> list[int]:
    """Return the bytes of several sizes, in a list or separated by commas."""
    return [size(one) for one in several(value)]


def several(value: object) -> list[Any]:
    """Return the items of a list, or of a text with commas."""
    return value if isinstance(value, list) else str(value).split(",")


def rate(value: object) -> float:
    """Return the bytes per second of a size, or of a text such as 10Gbit; infinity for ``unlimited``."""
    if value == "unlimited":
        return math.inf
    bits = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)bit(?:/s)?\s*", str(value), re.IGNORECASE | re.ASCII)
    if bits is None or not float(bits[1]):
        return float(size(value))
    return float(bits[1]) * _BITS[bits[2].upper()] / 8


def taking(value: object) -> float | None:
    """Return the bytes per second that a reader takes; None for ``unlimited``."""
    found = rate(value)
    return None if found == math.inf else found


def above_zero(value: object) -> float:
    """Return seconds; raise UsageError for 0."""
    seconds = parse_seconds(value)
    if seconds == 0:
        raise UsageError("must be more than 0 seconds")
    return seconds


def one_of(choices: tuple[str, ...]) -> Callable[[object], str]:
    """Return a parser that accepts one of ``choices``."""

    def read(value: object) -> str:
        if value not in choices:
            raise UsageError(f"{value!r} is not one of {', '.join(choices)}")
        return str(value)

    return read


def count(most: int, what: str) -> Callable[[object], int]:
    """Return a parser of numbers from 1 to ``most``; ``what`` they count is for the message."""

    def read(value: object) -> int:
        if not re.fullmatch(r"[0-9]+", str(value)) or not 0 < int(str(value)) <= most:
            raise UsageError(f"{value!r} is not a number of {what} from 1 to {most}")
        return int(str(value))

    return read


def listed(value: object) -> list[Any]:
    """Return the value if it is a list; raise UsageError if not."""
    if not isinstance(value, list):
        raise UsageError(f"expected a list, each entry on a line that begins with -, not {value!r}")
    return value
