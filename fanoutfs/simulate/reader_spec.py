"""The entries of a trace about readers: start, rate, order, stalls and departure."""

from collections.abc import Callable
from typing import Any, get_args

import attrs

from fanoutfs.errors import UsageError
from fanoutfs.simulate.entries import (
    above_zero,
    count,
    listed,
    one_of,
    read_entries,
    size,
    taking,
)
from fanoutfs.simulate.scenario import Order, SimulatedReader, Stall
from fanoutfs.units import parse_seconds

MOST_READERS = 100_000


def _stalls(value: object) -> tuple[Stall, ...]:
    found = []
    for number, entry in enumerate(listed(value), 1):
        values = read_entries(f"{number}.", entry, {"at": parse_seconds, "position": size, "for": above_zero})
        if ("at" in values) == ("position" in values) or "for" not in values:
            raise UsageError(f"{number} needs for: and either at: (a time) or position: (a size)")
        found.append(Stall(seconds=values.pop("for"), **values))
    return tuple(found)


def readers(value: object, usual: SimulatedReader = SimulatedReader()) -> tuple[SimulatedReader, ...]:  # noqa: B008 (it is frozen)
    """Return the readers of a list of entries, with the defaults of ``usual``.

    Raises UsageError.
    """
    found: list[SimulatedReader] = []
    for number, entry in enumerate(listed(value), 1):
        values = read_entries(f"{number}.", entry, _READER)
        several, every = values.pop("count", 1), values.pop("every", 0.0)
        first = attrs.evolve(usual, **values)
        if first.leaves is not None and first.leaves < first.at + (several - 1) * every:
            raise UsageError(f"{number} leaves before it comes")
        if len(found) + several > MOST_READERS:
            raise UsageError(f"more than {MOST_READERS} readers")
        found += [attrs.evolve(first, at=first.at + i * every) for i in range(several)]
    if not found:
        raise UsageError("there are no readers")
    return tuple(found)


_READER: dict[str, Callable[[Any], Any]] = {
    "at": parse_seconds,
    "count": count(MOST_READERS, "readers"),
    "every": parse_seconds,
    "rate": taking,
    "order": one_of(get_args(Order)),
    "stalls": _stalls,
    "leaves": parse_seconds,
}
