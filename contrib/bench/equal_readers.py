"""Eight equal readers an eighth of the image apart, each bound by its target, and none waits (--pace free).

What is read of the source, for rings of a quarter and of half of the image, is held against the offline
optimum: the fewest reads with which all requests, known beforehand, can be served from such a ring. The
readers are paced by the clock, so that they keep their distances. The image is large, so that look-ahead
(32 MiB for each) is small beside the ring, and a hole that takes no memory; its bytes are not looked at.
"""

import time
from pathlib import Path

from fanoutfs.units import MIB
from tests.rig.crew import Report, crew
from tests.rig.harness import Options, Row, at_most, finish, options
from tests.rig.loops import attached, bytes_read
from tests.rig.measured_mounts import fanout_mount
from tests.rig.ram import folder

READERS = 8
RATE = 150 * MIB  # bytes per second of each
OPTIMA = ((4, 4.77), (2, 2.51))
"""The image's size to the ring's, and what then must be read of the source, to its size."""

NEAR = 1.08


def run(chosen: Options, file: Path, ring: int) -> tuple[float, list[Report]]:
    """Give what was read of the source, to its size, and what came of the readers."""
    limit = 4 * chosen.size / RATE + 60
    with attached(file, "--read-only") as device:
        before = bytes_read(device)
        with (
            fanout_mount(chosen.fanoutfs, device, str(ring), "--pace", "free") as mount,
            crew(file, mount, limit) as made,
        ):
            readers = [made.ready(mount.image, rate=RATE, unchecked=1) for _ in range(READERS)]
            start = time.monotonic()
            for number, reader in enumerate(readers):
                due = start + number * chosen.size / READERS / RATE
                time.sleep(max(0.0, due - time.monotonic()))
                reader.go()
            reports = made.wait()
            return (bytes_read(device) - before) / chosen.size, reports


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="8G", ring=None)
    rows = []
    with folder() as ram:
        file = ram / "source"
        with file.open("wb") as hole:
            hole.truncate(chosen.size)
        for part, optimum in OPTIMA:
            runs = [run(chosen, file, chosen.size // part) for _ in range(chosen.rounds)]
            reports = [report for _, reports in runs for report in reports]
            late = max(0.0, *(report.seconds - chosen.size / RATE for report in reports))
            whole = all(report.right for report in reports)
            rows += [
                at_most(
                    f"ring 1/{part}: read of the device, to its size (optimum {optimum})",
                    [share for share, _ in runs],
                    NEAR * optimum,
                ),
                Row(f"ring 1/{part}: seconds behind its pace, the worst", f"{late:.2f}", "", holds=whole),
            ]
    finish(f"{READERS} equal readers, an eighth of the image apart, --pace free", rows)


if __name__ == "__main__":
    main()
