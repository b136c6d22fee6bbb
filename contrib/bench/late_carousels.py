"""Four carousels of a slow source, a quarter of a pass apart: each takes one pass, all together 1.75."""

from pathlib import Path

from tests.rig.crew import DD, Report, stage
from tests.rig.harness import Options, all_of, at_most, finish, options, wait_for_quiet
from tests.rig.images import write_pattern
from tests.rig.limited import RATE
from tests.rig.ram import folder

JOINS = (0.0, 0.25, 0.5, 0.75)  # of the image, where the head is
BAR = 1.77
OWN = 1.05  # passes of its own time that each may take


def run(chosen: Options, file: Path) -> tuple[float, list[Report]]:
    """Give what was read of the source, to its size, and what came of the readers."""
    wait_for_quiet()
    with stage(chosen, file) as on:
        readers = [on.crew.ready(on.mount.carousel, *DD) for _ in JOINS]
        for join, reader in zip(JOINS, readers, strict=True):
            on.wait_for_head(join)
            reader.go()
        reports = on.crew.wait()
        return on.share(), reports


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="512M", rounds=3, ring="26M")
    with folder() as ram:
        file = write_pattern(ram / "source", chosen.size)
        runs = [run(chosen, file) for _ in range(chosen.rounds)]
    one_pass = chosen.size / RATE
    rows = [
        all_of("copies that equal the source", [report.right for _, reports in runs for report in reports]),
        at_most("read of the device, to its size", [share for share, _ in runs], BAR),
    ]
    rows += [
        at_most(
            f"passes that the one at {join} took, from its start",
            [reports[number].seconds / one_pass for _, reports in runs],
            OWN,
        )
        for number, join in enumerate(JOINS)
    ]
    finish(f"4 carousels on a slow source, a quarter of a pass apart, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
