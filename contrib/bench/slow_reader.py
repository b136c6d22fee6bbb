"""A slow target beside three fast ones, on a slow source: all at its pace, or, with --pace free, none.

strict: the source is read once, and the fast ones finish when the slow one does.
free:   the fast ones finish as if they were alone; the slow one costs at most one more pass.
"""

import statistics
from pathlib import Path

from fanoutfs.units import parse_size
from tests.rig.crew import DD, Report, stage
from tests.rig.harness import Options, Row, all_of, at_most, finish, options, wait_for_quiet
from tests.rig.images import write_pattern
from tests.rig.ram import folder

FAST = 3
PACE = 10_000_000  # bytes per second that the slow one takes
ONE_PASS = 1.03
TWO_PASSES = 2.05
AS_IF_ALONE = 1.1


def run(chosen: Options, file: Path, pace: str, *, slow: bool) -> tuple[float, list[Report]]:
    """Give what was read of the source, to its size, and what came of the readers, the slow one last."""
    wait_for_quiet()
    with stage(chosen, file, "--pace", pace) as on:
        for _ in range(FAST):
            on.crew.ready(on.mount.image, *DD)
        if slow:
            on.crew.ready(on.mount.image, *DD, rate=PACE)
        for reader in on.crew.readers:
            reader.go()
        reports = on.crew.wait()
        return on.share(), reports


def slowest(reports: list[Report]) -> float:
    """Give the seconds that the last of the fast ones took."""
    return max(report.seconds for report in reports[:FAST])


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="512M")
    with folder() as ram:
        file = write_pattern(ram / "source", chosen.size)
        rounds = range(chosen.rounds)
        alone = [run(chosen, file, "free", slow=False) for _ in rounds]
        free = [run(chosen, file, "free", slow=True) for _ in rounds]
        strict = [run(chosen, file, "strict", slow=True) for _ in rounds]
    unhindered = statistics.median(slowest(reports) for _, reports in alone)
    ahead = max(reports[FAST].seconds - slowest(reports) for _, reports in strict)
    reach = 1.05 * parse_size(chosen.ring) / PACE + 1  # what the ring holds for it, and a second
    rows = [
        all_of("copies that equal the source", [r.right for _, rs in alone + free + strict for r in rs]),
        at_most("strict: read of the device, to its size", [share for share, _ in strict], ONE_PASS),
        at_most("strict: the slow one ends after the fast ones by", [ahead], reach, " s"),
        at_most(
            "strict: the slow one's time to size / pace",
            [reports[FAST].seconds * PACE / chosen.size for _, reports in strict],
            AS_IF_ALONE,
        ),
        at_most("free: read of the device, to its size", [share for share, _ in free], TWO_PASSES),
        at_most(
            f"free: the fast ones' time to that without the slow one ({unhindered:.2f} s)",
            [slowest(reports) / unhindered for _, reports in free],
            AS_IF_ALONE,
        ),
        Row(
            "free: seconds until the slow one ended",
            f"{statistics.median(reports[FAST].seconds for _, reports in free):.1f}",
            "",
            holds=True,
        ),
    ]
    finish(f"one reader of {PACE // 1_000_000} MB/s and {FAST} fast ones, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
