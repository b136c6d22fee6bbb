"""Make scenarios from a YAML file or options; one clear line for each error."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any, get_args

import yaml

from fanoutfs.errors import UnusableError, UsageError, reason
from fanoutfs.settings import Pace
from fanoutfs.simulate.entries import Parser, above_zero, one_of, rate, read_entries, readers, several, size
from fanoutfs.simulate.network.nodes import NETWORK, network
from fanoutfs.simulate.scenario import Scenario, SimulatedReader
from fanoutfs.units import parse_seconds


def load(path: Path) -> dict[str, Any]:
    """Return the entries of a YAML file, not yet parsed.

    Raises UnusableError if the file can't be read, UsageError if it is not a YAML mapping.
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
        raise UsageError(f"{path}: expected lines such as size: 64G, ring: 4G, readers: [...]")
    return found


def scenarios(entries: Mapping[str, Any]) -> list[Scenario]:
    """Return one scenario for each combination of ring and shape.

    ``docs/how-to-choose-a-ring.md`` lists the entries, ``docs/many-machines.md`` those about nodes.
    Raises UsageError with the entry's name and what is wrong with it.
    """
    about_nodes = {name: value for name, value in entries.items() if name in {*NETWORK, "shape"}}
    values = read_entries(
        _SCENARIO, {name: value for name, value in entries.items() if name not in about_nodes}
    )
    for needed in ("size", "ring"):
        if needed not in values:
            raise UsageError(f"{needed} is missing; write {needed}: 64G in the trace or --{needed} 64G")
    rings = values.pop("ring")
    if not about_nodes:
        values.setdefault("readers", (SimulatedReader(),))
        return [Scenario(ring=ring, **values) for ring in rings]
    values.setdefault("readers", ())
    shapes = several(about_nodes.pop("shape", None) or [None])
    networks = [network(about_nodes, shape) for shape in shapes]
    return [Scenario(ring=ring, **values, **found) for found, ring in product(networks, rings)]


_SCENARIO: dict[str, Parser] = {
    "size": size,
    "ring": lambda value: [size(item) for item in several(value)],
    "block": size,
    "run": size,
    "source-rate": rate,
    "seek-time": parse_seconds,
    "patience": above_zero,
    "turn": above_zero,
    "pace": one_of(get_args(Pace)),
    "readers": readers,
}
