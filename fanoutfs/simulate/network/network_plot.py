"""Draws the number of complete nodes over time, a line for each outcome. Needs matplotlib."""

from itertools import accumulate
from pathlib import Path

import matplotlib as mpl

from fanoutfs.simulate.network.groups import Spread
from fanoutfs.simulate.plot import axes_for, time_unit
from fanoutfs.units import format_size


def draw(outcomes: list[Spread], path: Path, *, title: str | None = None) -> None:
    """Draw when the nodes joined and when they were complete, into a file, whose suffix selects the format.

    An SVG is the same for the same runs. Raises UnusableError when the file can't be written.
    """
    ends = [group.done for outcome in outcomes for group in outcome.groups if group.done is not None]
    unit, name = time_unit(max(ends, default=1.0))
    with axes_for(path) as axes:
        colours = mpl.colormaps["tab10"]
        for number, outcome in enumerate(outcomes):
            joined = [(group.nodes.at, group.total) for group in outcome.groups]
            done = [(group.done, group.total) for group in outcome.groups if group.done is not None]
            if number == 0 and max(at for at, _ in joined) > 0:
                axes.step(
                    *_steps(joined, unit), where="post", color="#888888", linestyle="--", label="joined"
                )
            label = f"{outcome.scenario.shape}, ring {format_size(outcome.scenario.ring)}"
            axes.step(*_steps(done, unit), where="post", color=colours(number), label=label)
        axes.set_xlabel(f"time ({name})")
        axes.set_ylabel("nodes that have the image")
        axes.set_xlim(left=0.0)
        axes.set_ylim(bottom=0.0)
        axes.set_title(title or f"image {format_size(outcomes[0].scenario.size)}", loc="left")
        axes.legend(loc="lower right", frameon=False)


def _steps(when: list[tuple[float, int]], unit: float) -> tuple[list[float], list[int]]:
    """Return the steps of a staircase: the times in units, and the number after each."""
    in_turn = [(0.0, 0), *sorted(when)]
    return [seconds / unit for seconds, _ in in_turn], list(accumulate(total for _, total in in_turn))
