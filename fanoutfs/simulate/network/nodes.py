"""The entries of a trace about nodes: number, source, shape, links, start and failure."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from fanoutfs.errors import UsageError
from fanoutfs.simulate.entries import count, listed, rate, read_entries, size, taking
from fanoutfs.simulate.network.shape import children_of, grouped, one_by_one, totals
from fanoutfs.simulate.reader_spec import MOST_READERS, readers
from fanoutfs.simulate.scenario import Nodes, SimulatedReader, Wire
from fanoutfs.units import parse_seconds

MOST_NODES = 1_000_000

MOST_APART = 1_000
"""Nodes that come one by one, so that each is modelled by itself."""


@attrs.define
class _Named:
    """Entries of the scenario that a name stands for."""

    tail: int | None
    """Behind which one of them others can stand; None: behind none in particular."""


def network(entries: Mapping[str, Any], shape: str | None) -> dict[str, Any]:
    """Return the entries about nodes as fields of ``Scenario``.

    Raises UsageError with the entry's name and what is wrong with it.
    """
    values = read_entries("", entries, NETWORK)
    if "nodes" not in values:
        raise UsageError(f"{next(iter(entries), 'shape')} is about nodes; set their number, as --nodes 1000")
    if "link_rate" not in values:
        raise UsageError("link-rate is missing; write link-rate: 10Gbit in the trace or --link-rate 10Gbit")
    wanted = values.pop("nodes")
    if isinstance(wanted, int):
        shape = shape or "star"
        one = {"count": wanted, "shape": shape, "every": values.get("every", 0.0)}
        found = _NodeTable(values).all([one])
    elif shape is not None or "every" in values:
        raise UsageError("the trace has a list of nodes; set shape and every in each entry")
    else:
        found = _NodeTable(values).all(wanted)
    node_rate = values.get("node_rate", math.inf)
    card = min(values.get("source_link_rate", values["link_rate"]), node_rate)
    return {"nodes": tuple(found), "card": card, "shape": shape or "as listed"}


class _NodeTable:
    """The entries parsed so far."""

    def __init__(self, usual: dict[str, Any]) -> None:
        self.usual = usual
        self.nodes: list[Nodes] = []
        self.named: dict[str, _Named] = {}

    def all(self, entries: list[dict[str, Any]]) -> list[Nodes]:
        for number, entry in enumerate(entries, 1):
            try:
                self._enter(number, dict(entry))
            except UsageError as error:
                raise UsageError(f"nodes: {number}: {error}") from error
            if sum(totals(tuple(self.nodes))) > MOST_NODES or len(self.nodes) > MOST_NODES:
                raise UsageError(f"nodes: more than {MOST_NODES}")
        return self.nodes

    def _enter(self, number: int, values: dict[str, Any]) -> None:
        wanted, every = values.get("count", 1), values.get("every", 0.0)
        children = children_of(values.get("shape", "star"), wanted)
        like = self._like(values.get("name", str(number)), values)
        first = len(self.nodes)
        if every and wanted > 1:
            if wanted > MOST_APART:
                raise UsageError(f"at most {MOST_APART} nodes can come one by one")
            self.nodes += one_by_one(like, wanted, children, every, first=first)
        else:
            self.nodes += grouped(like, wanted, children, first=first)
        one_tail = children == 1 or len(self.nodes) == first + 1
        self.named[like.name] = _Named(len(self.nodes) - 1 if one_tail else None)

    def _like(self, name: str, values: dict[str, Any]) -> Nodes:
        """Return what the nodes of an entry have in common."""
        if name in self.named:
            raise UsageError(f"the name {name} is used twice")
        above = self._above(values.get("from"))
        joined = 0.0 if above is None else self.nodes[above].at
        at = values.get("at", joined)
        if at < joined:
            raise UsageError("at: the node joins before the one that it reads from")
        usual = self.usual
        node_rate = values.get("node_rate", usual.get("node_rate", math.inf))
        wire = Wire(
            rate=min(values.get("down", usual["link_rate"]), node_rate),
            latency=values.get("latency", usual.get("latency", 0.0)),
        )
        return Nodes(
            name=name,
            above=above,
            at=at,
            dies=values.get("dies"),
            wire=wire,
            card=min(values.get("up", usual["link_rate"]), node_rate),
            ring=values.get("ring"),
            targets=_targets(values.get("targets", [{}]), at, usual.get("target_rate")),
        )

    def _above(self, name: str | None) -> int | None:
        if name is None:
            return None
        if name not in self.named:
            raise UsageError(f"from: {name} is not the name of an earlier entry")
        if self.named[name].tail is None:
            raise UsageError(f"from: {name} has no single last node to read from; a chain or a star has")
        return self.named[name].tail


def _targets(value: list[Any], at: float, target_rate: float | None) -> tuple[SimulatedReader, ...]:
    try:
        found = readers(value, SimulatedReader(at=at, rate=target_rate, order="carousel"))
    except UsageError as error:
        raise UsageError(f"targets: {error}") from error
    if any(target.at < at for target in found):
        raise UsageError("targets: a target starts before its node joins")
    return found


def _many_or_listed(value: object) -> int | list[dict[str, Any]]:
    if not isinstance(value, list):
        return count(MOST_NODES, "nodes")(value)
    return [read_entries(f"{number}.", entry, _NODES) for number, entry in enumerate(value, 1)]


def _several_targets(value: object) -> list[Any]:
    return listed(value) if isinstance(value, list) else [{"count": count(MOST_READERS, "targets")(value)}]


_NODES: dict[str, Callable[[Any], Any]] = {
    "name": str,
    "from": str,
    "count": count(MOST_NODES, "nodes"),
    "shape": str,
    "at": parse_seconds,
    "every": parse_seconds,
    "up": rate,
    "down": rate,
    "latency": parse_seconds,
    "node-rate": rate,
    "ring": size,
    "targets": _several_targets,
    "dies": parse_seconds,
}

NETWORK: dict[str, Callable[[Any], Any]] = {
    "nodes": _many_or_listed,
    "every": parse_seconds,
    "link-rate": rate,
    "source-link-rate": rate,
    "latency": parse_seconds,
    "node-rate": rate,
    "target-rate": taking,
}
"""The entries of a scenario that are about nodes, but for the shape, of which there can be several."""
