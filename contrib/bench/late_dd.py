"""Four dd on a slow source, the last of which begins when the first has a fifth of the image: one pass.

The ring is a quarter of the image, so what the last one missed is still there.
"""

from functools import partial
from pathlib import Path

from tests.rig.crew import DD, Report, stage, wait_until
from tests.rig.harness import Options, all_of, at_most, finish, options, wait_for_quiet
from tests.rig.images import write_pattern
from tests.rig.mounts import Mount
from tests.rig.ram import folder

JOINS = (0.0, 1 / 15, 2 / 15, 0.2)  # of the image, where the first is
BAR = 1.03


def first_is_at(mount: Mount, offset: float) -> bool:
    """Say whether the reader that came first has come that far."""
    positions = {reader["id"]: reader["position"] for reader in mount.status()["readers"]}
    return bool(positions and positions[min(positions)] >= offset)


def run(chosen: Options, file: Path) -> tuple[float, list[Report]]:
    """Give what was read of the source, to its size, and what came of the readers."""
    wait_for_quiet()
    with stage(chosen, file) as on:
        readers = [on.crew.ready(on.mount.image, *DD) for _ in JOINS]
        for join, reader in zip(JOINS, readers, strict=True):
            if join:
                wait_until(partial(first_is_at, on.mount, join * chosen.size))
            reader.go()
        reports = on.crew.wait()
        return on.share(), reports


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="512M", rounds=3, ring="128M")
    with folder() as ram:
        file = write_pattern(ram / "source", chosen.size)
        runs = [run(chosen, file) for _ in range(chosen.rounds)]
    shares = [share for share, _ in runs]
    reports = [report for _, reports in runs for report in reports]
    right = [report.right for report in reports]
    slowest = max(report.seconds for report in reports)
    rows = [
        all_of("copies that equal the source", right),
        at_most("read of the device, to its size", shares, BAR),
    ]
    finish(f"4 dd, the last at a fifth, ring {chosen.ring}, the slowest took {slowest:.1f} s", rows)


if __name__ == "__main__":
    main()
