"""Two dd of a slow source, then a carousel, a dd and a carousel: nobody is left without a byte for long.

Once with a steady source, once with one that comes in bursts; see tests/rig/limited.py.
"""

import math
from pathlib import Path

from tests.rig.crew import DD, Report, stage
from tests.rig.harness import Options, Row, all_of, at_most, finish, options, wait_for_quiet
from tests.rig.images import write_pattern
from tests.rig.limited import RATE
from tests.rig.ram import folder

JOINS = (("image", 0.0), ("image", 0.0), ("carousel", 0.3), ("image", 0.5), ("carousel", 0.8))
"""What each reads, and where in the image the head is when it begins."""

BAR = 2.0
OWN = 1.05  # passes of its own time that a carousel may take
TURN = 2.0  # seconds; fanoutfs's default
SLACK = 1.0  # seconds beyond it

Runs = list[tuple[float, list[Report]]]
"""Of each round what was read of the source, to its size, and what came of the readers."""


def run(chosen: Options, file: Path, *, steady: bool) -> tuple[float, list[Report]]:
    """Give what was read of the source, to its size, and what came of the readers."""
    wait_for_quiet()
    with stage(chosen, file, steady=steady) as on:
        readers = [on.crew.ready(on.mount.point / name, *DD) for name, _ in JOINS]
        for (_, join), reader in zip(JOINS, readers, strict=True):
            on.wait_for_head(join)
            reader.go()
        reports = on.crew.wait()
        return on.share(), reports


def held(kind: str, one_pass: float, runs: Runs) -> list[Row]:
    """Hold some rounds against the bars; ``one_pass`` in seconds."""
    rows = [
        all_of(f"{kind}: copies that equal the source", [r.right for _, reports in runs for r in reports]),
        at_most(f"{kind}: read of the device, to its size", [share for share, _ in runs], BAR),
    ]
    for number, (name, join) in enumerate(JOINS):
        who = f"{kind}: {number + 1}, {name} at {join}"
        mine = [reports[number] for _, reports in runs]
        passes = [report.seconds / one_pass for report in mine]
        gaps = [report.longest_gap() for report in mine]
        own = OWN if name == "carousel" else math.inf
        rows += [
            at_most(f"{who}: passes that it took", passes, own),
            at_most(f"{who}: longest time without a byte", gaps, TURN + SLACK, " s"),
        ]
    return rows


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="512M", rounds=3, ring="51M")
    rows = []
    with folder() as ram:
        file = write_pattern(ram / "source", chosen.size)
        for kind, steady in (("steady", True), ("bursts", False)):
            runs = [run(chosen, file, steady=steady) for _ in range(chosen.rounds)]
            rows += held(kind, chosen.size / RATE, runs)
    finish(f"dd and carousels that come late to a slow source, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
