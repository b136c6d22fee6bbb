"""The result of a scenario with nodes: as a table for people, as JSON values for programs."""

import math
from itertools import groupby
from typing import Any

from fanoutfs.settings import RUN
from fanoutfs.simulate.network.groups import Group, Spread
from fanoutfs.simulate.report import MOST_ROWS, aligned
from fanoutfs.status.text import format_rate
from fanoutfs.units import format_seconds, format_size

SHOWN = 12
"""Rows that are shown if there are more than MOST_ROWS."""


def table(outcomes: list[Spread]) -> str:
    """Return the outcomes as text: a row for each shape and ring; of a single one also its nodes."""
    scenario = outcomes[0].scenario
    count = sum(group.total for group in outcomes[0].groups)
    nodes = f"{count} node{'s' * (count != 1)}"
    lines = [f"image {format_size(scenario.size)}, {nodes}, source {_rate(scenario.source_rate)}", ""]
    head = (
        *("shape", "ring", "source read", "sent by source", "links deep", "most behind one"),
        *("half done", "all done", "longest copy"),
    )
    lines += aligned([head, *(_row(outcome) for outcome in outcomes)])
    if len(outcomes) == 1:
        lines += ["", *_levels(outcomes[0])]
    if coarse := {_coarse(outcome): None for outcome in outcomes if outcome.coarse}:
        lines += ["", *coarse]
    return "\n".join(lines)


def document(outcomes: list[Spread]) -> list[dict[str, Any]]:
    """Return the outcomes as JSON values, in bytes and seconds; identical nodes are one entry."""
    return [
        {
            "size": o.scenario.size,
            "ring": o.scenario.ring,
            "shape": o.scenario.shape,
            "block": o.block,
            "coarse": o.coarse,
            "source_bytes": o.source_bytes,
            "passes": o.passes,
            "sent": o.sent,
            "seconds": o.done_after(1),
            "nodes": [
                {
                    "name": group.nodes.name,
                    "count": group.total,
                    "depth": group.depth,
                    "behind": group.behind,
                    "joined": group.nodes.at,
                    "done": group.done,
                    "took": group.took,
                    "sent": group.sent,
                }
                for group in o.groups
            ],
        }
        for o in outcomes
    ]


def _row(outcome: Spread) -> tuple[str, ...]:
    took = [group.took for group in outcome.groups if group.took is not None]
    return (
        outcome.scenario.shape,
        format_size(outcome.scenario.ring),
        format_size(outcome.source_bytes),
        format_size(outcome.sent) if outcome.sent else "0",
        str(max(group.depth for group in outcome.groups)),
        str(max(group.behind for group in outcome.groups)),
        _time(outcome.done_after(0.5)),
        _time(outcome.done_after(1)),
        _time(max(took, default=None)),
    )


def _levels(outcome: Spread) -> list[str]:
    """Return a row for all nodes of one name and depth."""
    names = list(dict.fromkeys(group.nodes.name for group in outcome.groups))

    def level(group: Group) -> tuple[int, int]:
        return names.index(group.nodes.name), group.depth

    head = (
        "node",
        "links deep",
        "nodes",
        "behind each",
        "first joined",
        "all done",
        "longest copy",
        "each sends",
    )
    in_turn = sorted(outcome.groups, key=level)
    rows = [_level(list(alike)) for _, alike in groupby(in_turn, key=level)]
    if len(rows) > MOST_ROWS:
        rows = [rows[round(i * (len(rows) - 1) / (SHOWN - 1))] for i in range(SHOWN)]
    named = len(names) > 1
    return aligned([cells if named else cells[1:] for cells in (head, *rows)])


def _level(alike: list[Group]) -> tuple[str, ...]:
    done = [group.done for group in alike if group.done is not None]
    took = [group.took for group in alike if group.took is not None]
    return (
        alike[0].nodes.name,
        str(alike[0].depth),
        str(sum(group.total for group in alike)),
        _least_to_most([group.behind for group in alike]),
        _time(min(group.nodes.at for group in alike)),
        "never" if len(done) < len(alike) else _time(max(done)),
        _time(max(took, default=None)),
        format_size(max(group.sent for group in alike)),
    )


def _least_to_most(numbers: list[int]) -> str:
    least, most = min(numbers), max(numbers)
    return str(most) if least == most else f"{least} to {most}"


def _time(seconds: float | None) -> str:
    return "never" if seconds is None else format_seconds(seconds)


def _rate(rate: float) -> str:
    return "unlimited" if rate == math.inf else format_rate(rate)


def _coarse(outcome: Spread) -> str:
    ring, block, run = (format_size(size) for size in (outcome.scenario.ring, outcome.block, RUN))
    return f"ring {ring}: modelled in blocks of {block}, passed on whole; a mount passes on {run}"
