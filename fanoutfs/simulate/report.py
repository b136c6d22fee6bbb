"""The result of a run of the model: as a table for people, as JSON values for programs."""

from collections.abc import Iterable
from statistics import median
from typing import Any

import attrs

from fanoutfs.simulate.result import Finish, Outcome
from fanoutfs.units import format_seconds, format_size

MOST_ROWS = 24
"""More readers than this are summarised."""


def table(outcomes: list[Outcome]) -> str:
    """Return the outcomes as text: one row per ring; for a single ring also one row per reader."""
    scenario = outcomes[0].scenario
    readers = scenario.readers
    lines = [f"image {format_size(scenario.size)}, {len(readers)} reader{'s' * (len(readers) != 1)}", ""]
    head = ("ring", "source read", "passes", "seeks", "memory", "all done", "longest copy", "longest wait")
    lines += aligned([head, *(_row(outcome) for outcome in outcomes)])
    if len(outcomes) == 1:
        lines += ["", *aligned(_readers(outcomes[0].readers))]
    if any(outcome.grain.coarse for outcome in outcomes):
        lines += ["", *(_coarse(outcome) for outcome in outcomes if outcome.grain.coarse)]
    return "\n".join(lines)


def document(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    """Return the outcomes as JSON values, in bytes and seconds, with each reader."""
    return [
        {
            "size": o.scenario.size,
            "ring": o.scenario.ring,
            "block": o.grain.block,
            "coarse": o.grain.coarse,
            "rates_rounded": o.grain.rounds,
            "source_bytes": o.source_bytes,
            "passes": o.passes,
            "seeks": o.seeks,
            "memory": o.memory,
            "seconds": o.seconds,
            "readers": [attrs.asdict(reader) for reader in o.readers],
        }
        for o in outcomes
    ]


def _row(outcome: Outcome) -> tuple[str, ...]:
    took = [r.took for r in outcome.readers if r.took is not None]
    return (
        format_size(outcome.scenario.ring),
        format_size(outcome.source_bytes),
        f"{outcome.passes:.2f}",
        str(outcome.seeks),
        format_size(outcome.memory),
        format_seconds(outcome.seconds),
        format_seconds(max(took)) if took else "-",
        format_seconds(max(r.longest_wait for r in outcome.readers)),
    )


def _coarse(outcome: Outcome) -> str:
    ring, block = format_size(outcome.scenario.ring), format_size(outcome.grain.block)
    turn = format_seconds(outcome.scenario.turn * outcome.grain.scale)
    rates = ", rates rounded to 2 %" if outcome.grain.rounds else ""
    return f"ring {ring}: modelled in blocks of {block}{rates}; a wait of up to {turn} is many small ones"


def _readers(readers: tuple[Finish, ...]) -> list[tuple[str, ...]]:
    head = ("came at", "began at byte", "took", "waited in all", "longest wait")
    if len(readers) <= MOST_ROWS:
        return [
            ("reader", *head),
            *(
                (
                    str(number),
                    format_seconds(r.came),
                    format_size(r.start),
                    "left" if r.took is None else format_seconds(r.took),
                    format_seconds(r.waited),
                    format_seconds(r.longest_wait),
                )
                for number, r in enumerate(readers, 1)
            ),
        ]
    columns = {
        "took": [r.took for r in readers if r.took is not None],
        "waited in all": [r.waited for r in readers],
        "longest wait": [r.longest_wait for r in readers],
    }
    return [
        ("", "least", "median", "most"),
        *(
            (name, *(format_seconds(of(values)) for of in (min, median, max)))
            for name, values in columns.items()
            if values
        ),
    ]


def aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return the rows as lines, with their cells in columns."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
