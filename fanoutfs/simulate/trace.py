"""From words, in a YAML file or as options, to scenarios. One clear line for what can't be meant."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import attrs
import yaml

from fanoutfs.errors import UnusableError, UsageError, reason
from fanoutfs.settings import Pace, parse_size
from fanoutfs.simulate.scenario import Order, Reader, Scenario, Stall

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}

MOST_READERS = 100_000


def load(path: Path) -> dict[str, Any]:
    """Give the entries of a YAML file, unread.

    Raises UnusableError when it can't be read, UsageError when it is not YAML or no table.
    """
    try:
        found = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UnusableError(f"{path}: {reason(error)}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not a text file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f", line {mark.line + 1}"
        raise UsageError(f"{path}{place}: {getattr(error, 'problem', None) or 'not YAML'}") from error
    if not isinstance(found, dict):
        raise UsageError(f"{path}: wants lines such as size: 64G, ring: 4G, readers: [...]")
    return found


def scenarios(entries: Mapping[str, Any]) -> list[Scenario]:
    """Give one scenario for each ring named; ``docs/how-to-choose-a-ring.md`` lists the entries.

    Raises UsageError with the entry's name and what is wrong with it.
    """
    values = _read("", entries, _SCENARIO)
    for needed in ("size", "ring"):
        if needed not in values:
            raise UsageError(f"say {needed}, as {needed}: 64G in the trace or --{needed} 64G")
    rings = values.pop("ring")
    values.setdefault("readers", (Reader(),))
    return [Scenario(ring=ring, **values) for ring in rings]


def parse_seconds(value: object) -> float:
    """Give the seconds that a number, or a text such as 90, 1.5s, 5m, 2h or 1d, names.

    Raises UsageError for anything else, and for less than zero.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([smhd]?)\s*", str(value), re.IGNORECASE | re.ASCII)
    if found is None or isinstance(value, bool):
        raise UsageError(f"{value!r} is not a time; write it as 90, 1.5s, 5m or 2h")
    return float(found[1]) * _SECONDS[found[2].lower()]


def _read(where: str, entries: object, readers: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    """Read each entry by its name; names with - become names with _."""
    if not isinstance(entries, Mapping):
        raise UsageError(f"{where.rstrip('.') or 'trace'}: wants entries, not {entries!r}")
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


def _size(value: object) -> int:
    return parse_size(str(value))


def _sizes(value: object) -> list[int]:
    several = value if isinstance(value, list) else str(value).split(",")
    return [_size(one) for one in several]


def _rate(value: object) -> float | None:
    return None if value == "unlimited" else float(_size(value))


def _source_rate(value: object) -> float:
    return math.inf if value == "unlimited" else float(_size(value))


def _above_zero(value: object) -> float:
    seconds = parse_seconds(value)
    if seconds == 0:
        raise UsageError("wants seconds above zero")
    return seconds


def _one_of(choices: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in choices:
            raise UsageError(f"{value!r} is not one of {', '.join(choices)}")
        return str(value)

    return read


def _count(value: object) -> int:
    if not re.fullmatch(r"[0-9]+", str(value)) or not 0 < int(str(value)) <= MOST_READERS:
        raise UsageError(f"{value!r} is not a number of readers from 1 to {MOST_READERS}")
    return int(str(value))


def _listed(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise UsageError(f"wants a list, each entry on a line that begins with -, not {value!r}")
    return value


def _stalls(value: object) -> tuple[Stall, ...]:
    found = []
    for number, entry in enumerate(_listed(value), 1):
        values = _read(f"{number}.", entry, {"at": parse_seconds, "position": _size, "for": _above_zero})
        if ("at" in values) == ("position" in values) or "for" not in values:
            raise UsageError(f"{number} wants for: and one of at: (a time) and position: (a size)")
        found.append(Stall(seconds=values.pop("for"), **values))
    return tuple(found)


def _readers(value: object) -> tuple[Reader, ...]:
    found: list[Reader] = []
    for number, entry in enumerate(_listed(value), 1):
        values = _read(f"{number}.", entry, _READER)
        several, every = values.pop("count", 1), values.pop("every", 0.0)
        first = Reader(**values)
        if first.leaves is not None and first.leaves < first.at + (several - 1) * every:
            raise UsageError(f"{number} leaves before it comes")
        if len(found) + several > MOST_READERS:
            raise UsageError(f"more than {MOST_READERS} readers")
        found += [attrs.evolve(first, at=first.at + i * every) for i in range(several)]
    if not found:
        raise UsageError("nobody reads")
    return tuple(found)


_READER: dict[str, Callable[[Any], Any]] = {
    "at": parse_seconds,
    "count": _count,
    "every": parse_seconds,
    "rate": _rate,
    "order": _one_of(get_args(Order)),
    "stalls": _stalls,
    "leaves": parse_seconds,
}

_SCENARIO: dict[str, Callable[[Any], Any]] = {
    "size": _size,
    "ring": _sizes,
    "block": _size,
    "run": _size,
    "source-rate": _source_rate,
    "seek-time": parse_seconds,
    "patience": _above_zero,
    "turn": _above_zero,
    "pace": _one_of(get_args(Pace)),
    "readers": _readers,
}
