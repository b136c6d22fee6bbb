"""The entries of a trace about nodes: number, source, shape, links, start and failure."""

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from fanoutfs.errors import UsageError
from fanoutfs.simulate.entries import (
    MOST_READERS,
    Parser,
    count,
    each,
    rate,
    read_entries,
    reader_rate,
    readers,
    size,
    within,
)
from fanoutfs.simulate.network.shape import children_of, grouped, one_by_one, totals
from fanoutfs.simulate.scenario import Nodes, SimulatedReader, Wire
from fanoutfs.units import parse_seconds

MOST_NODES = 1_000_000

MOST_APART = 1_000
"""Nodes that join one by one, so that each is modelled by itself."""


def network(entries: Mapping[str, Any], shape: str | None) -> dict[str, Any]:
    """Return the entries about nodes as fields of ``Scenario``.

    Raises UsageError with the entry's name and what is wrong with it.
    """
    values = read_entries(NETWORK, entries)
    if "nodes" not in values:
        raise UsageError(f"{next(iter(entries), 'shape')} is about nodes; set their number, as --nodes 1000")
    if "link_rate" not in values:
        raise UsageError("link-rate is missing; write link-rate: 10Gbit in the trace or --link-rate 10Gbit")
    wanted, link = values.pop("nodes"), values["link_rate"]
    if isinstance(wanted, int):
        shape = shape or "star"
        wanted = [{"count": wanted, "shape": shape}]
    elif shape is not None or "every" in values:
        raise UsageError("the trace has a list of nodes; set shape and every in each entry")
    usual = _USUAL | {"up": link, "down": link} | values
    table = _NodeTable()
    within("nodes", lambda entries: list(each(lambda entry: table.add(usual | entry), entries)), wanted)
    card = min(values.get("source_link_rate", link), usual["node_rate"])
    return {"nodes": tuple(table.nodes), "card": card, "shape": shape or "as listed"}


class _NodeTable:
    """The nodes of the entries so far."""

    def __init__(self) -> None:
        self.nodes: list[Nodes] = []
        self.tails: dict[str, int | None] = {}
        """By the name of an entry: the node behind which others can stand; None: there is not one alone."""

    def add(self, values: dict[str, Any]) -> None:
        """Add the nodes of an entry."""
        like = self._like(values)
        number, every, first = values["count"], values["every"], len(self.nodes)
        children = children_of(values["shape"], number)
        if every and number > 1:
            if number > MOST_APART:
                raise UsageError(f"at most {MOST_APART} nodes can come one by one")
            self.nodes += one_by_one(like, number, children, every, first=first)
        else:
            self.nodes += grouped(like, number, children, first=first)
        if sum(totals(tuple(self.nodes))) > MOST_NODES:
            raise UsageError(f"more than {MOST_NODES} nodes in all")
        one_tail = children == 1 or len(self.nodes) == first + 1
        self.tails[like.name] = len(self.nodes) - 1 if one_tail else None

    def _like(self, values: dict[str, Any]) -> Nodes:
        """Return what the nodes of an entry have in common."""
        name = values.get("name", str(len(self.tails) + 1))
        if name in self.tails:
            raise UsageError(f"the name {name} is used twice")
        above = within("from", self._tail, values["from"]) if "from" in values else None
        joined = 0.0 if above is None else self.nodes[above].at
        at = values.get("at", joined)
        if at < joined:
            raise UsageError("at: the node joins before the one that it reads from")
        node_rate = values["node_rate"]
        return Nodes(
            name=name,
            above=above,
            at=at,
            dies=values.get("dies"),
            wire=Wire(rate=min(values["down"], node_rate), latency=values["latency"]),
            card=min(values["up"], node_rate),
            ring=values.get("ring"),
            targets=within("targets", partial(_targets, at, values["target_rate"]), values["targets"]),
        )

    def _tail(self, name: str) -> int:
        if name not in self.tails:
            raise UsageError(f"{name} is not the name of an earlier entry")
        tail = self.tails[name]
        if tail is None:
            raise UsageError(f"{name} has no single last node to read from; a chain or a star has")
        return tail


def _targets(at: float, target_rate: float | None, value: object) -> tuple[SimulatedReader, ...]:
    found = readers(value, at=at, rate=target_rate, order="carousel")
    if any(target.at < at for target in found):
        raise UsageError("a target starts before its node joins")
    return found


def _number_or_list(value: object) -> int | list[dict[str, Any]]:
    if isinstance(value, list):
        return list(each(partial(read_entries, _NODES), value))
    return count(MOST_NODES, "nodes")(value)


def _number_or_targets(value: object) -> list[Any]:
    return value if isinstance(value, list) else [{"count": count(MOST_READERS, "targets")(value)}]


_NODES: dict[str, Parser] = {
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
    "targets": _number_or_targets,
    "dies": parse_seconds,
}

_USUAL: dict[str, Any] = {"count": 1, "shape": "star", "every": 0.0, "targets": [{}], "target_rate": None}
_USUAL |= {"latency": 0.0, "node_rate": math.inf}

NETWORK: dict[str, Parser] = {
    "nodes": _number_or_list,
    "every": parse_seconds,
    "link-rate": rate,
    "source-link-rate": rate,
    "latency": parse_seconds,
    "node-rate": rate,
    "target-rate": reader_rate,
}
"""The entries of a scenario that are about nodes, but for the shape, of which there can be several."""
