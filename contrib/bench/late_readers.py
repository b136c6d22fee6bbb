"""Readers that join a slow source late: how often the source is read, and how long each reader takes.

late_dd         Four dd; the last one starts when the first has read a fifth of the image: one pass. The ring
                is a quarter of the image, so the blocks that the last one missed are still resident.
late_carousels  Four carousels, a quarter of a pass apart: each takes one pass, all together 1.75 passes.
mixed_late      Two dd, then a carousel, a dd and a carousel: no reader is without a byte for long. With a
                steady source and with one that delivers in bursts; see tests/rig/limited.py.
"""

import math
from pathlib import Path

import attrs

from tests.rig.commands import wait_until
from tests.rig.harness import Options, Row, at_most, choose, finish, options
from tests.rig.limited import RATE
from tests.rig.mounts import Mount
from tests.rig.ram import image
from tests.rig.ready_readers import HANGS
from tests.rig.slow_mount import Outcome, rows_of, slow_mount
from tests.rig.timed_readers import DD

OWN = 1.05  # passes that a carousel may take
TURN = 2.0  # seconds; fanoutfs's default
SLACK = 1.0  # seconds in addition


@attrs.frozen
class Scenario:
    """When the readers start, and what they may cost."""

    title: str
    joins: tuple[tuple[str, float], ...]
    """The file of each reader, and the part of the image that has been read when it starts."""
    ring: str
    most: float
    """Passes over the source."""
    by_first_reader: bool = False
    """Whether the first reader must have read that part, not only the producer."""
    gap: float = math.inf
    """Seconds that a reader may be without a byte."""
    sources: tuple[str, ...] = ("bursts",)


SCENARIOS = {
    "late_dd": Scenario(
        "4 dd, the last at a fifth",
        (("image", 0.0), ("image", 1 / 15), ("image", 2 / 15), ("image", 0.2)),
        ring="128M",
        most=1.03,
        by_first_reader=True,
    ),
    "late_carousels": Scenario(
        "4 carousels, a quarter of a pass apart",
        (("carousel", 0.0), ("carousel", 0.25), ("carousel", 0.5), ("carousel", 0.75)),
        ring="26M",
        most=1.77,
    ),
    "mixed_late": Scenario(
        "dd and carousels that join late",
        (("image", 0.0), ("image", 0.0), ("carousel", 0.3), ("image", 0.5), ("carousel", 0.8)),
        ring="51M",
        most=2.0,
        gap=TURN + SLACK,
        sources=("steady", "bursts"),
    ),
}


def first_has_read(mount: Mount, offset: float) -> bool:
    """Return whether the first of the readers has reached this byte."""
    positions = {reader["id"]: reader["position"] for reader in mount.status()["readers"]}
    return bool(positions and positions[min(positions)] >= offset)


def run(chosen: Options, scenario: Scenario, file: Path, *, steady: bool) -> Outcome:
    """Start the readers one after the other."""
    with slow_mount(chosen, file, steady=steady) as on:
        readers = [on.readers.ready(on.mount.point / name, *DD) for name, _ in scenario.joins]
        for (_, part), reader in zip(scenario.joins, readers, strict=True):
            offset = part * chosen.size
            on.wait_for_head(part)
            if scenario.by_first_reader and part:
                wait_until(lambda: first_has_read(on.mount, offset), f"one has read {part}", HANGS)  # noqa: B023
            reader.go()
        return on.outcome()


def main() -> None:
    """Measure and report."""
    scenario = choose(SCENARIOS, __doc__)
    chosen = options(__doc__, size="512M", rounds=3, ring=scenario.ring)
    rows: list[Row] = []
    with image(chosen.size) as file:
        for source in scenario.sources:
            outcomes = [run(chosen, scenario, file, steady=source == "steady") for _ in range(chosen.rounds)]
            rows += rows_of(outcomes, scenario.most, f"{source}: ")
            for number, (name, part) in enumerate(scenario.joins):
                reports = [outcome.reports[number] for outcome in outcomes]
                passes = [report.seconds * RATE / chosen.size for report in reports]
                gaps = [report.longest_gap() for report in reports]
                rows += [
                    at_most(
                        f"{source}: {number + 1}, {name} at {part:.2f}: passes that it took",
                        passes,
                        OWN if name == "carousel" else math.inf,
                    ),
                    at_most("    longest time without a byte", gaps, scenario.gap, " s"),
                ]
    finish(f"{scenario.title}, of a slow source, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
