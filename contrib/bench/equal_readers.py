"""Eight equal readers, an eighth of the image apart, each limited by its target: none waits (--pace free).

For rings of a quarter and of half of the image, what is read of the source is compared with the offline
optimum: the fewest reads that can serve all requests, known in advance, from such a ring. A clock paces the
readers, so that they keep their distances. The image is large, so that the look-ahead (32 MiB for each) is
small compared with the ring, and a hole, which takes no memory; its bytes are not compared.
"""

from pathlib import Path

from fanoutfs.units import MIB
from tests.rig.harness import Options, Row, at_most, finish, options
from tests.rig.loops import attached, bytes_read
from tests.rig.measured_mounts import fanout_mount
from tests.rig.ram import folder
from tests.rig.slow_mount import Outcome
from tests.rig.timed_readers import timed_readers

READERS = 8
RATE = 150 * MIB  # bytes per second of each
OPTIMA = ((4, 4.77), (2, 2.51))
"""The image's size divided by the ring's, and the fewest passes over the source."""

NEAR = 1.08


def run(chosen: Options, file: Path, ring: int) -> Outcome:
    """Run the readers with a ring of this size."""
    one_pass = chosen.size / RATE
    with attached(file, "--read-only") as device:
        before = bytes_read(device)
        with (
            fanout_mount(chosen.fanoutfs, device, str(ring), "--pace", "free") as mount,
            timed_readers(file, mount, 4 * one_pass + 60) as readers,
        ):
            for _ in range(READERS):
                readers.ready(mount.image, rate=RATE, unchecked=1)
            readers.go(one_pass / READERS)
            reports = readers.wait()
            return Outcome((bytes_read(device) - before) / chosen.size, reports)


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="8G", ring=None)
    rows = []
    with folder() as ram:
        file = ram / "source"
        with file.open("wb") as hole:
            hole.truncate(chosen.size)
        for part, optimum in OPTIMA:
            outcomes = [run(chosen, file, chosen.size // part) for _ in range(chosen.rounds)]
            reports = [report for outcome in outcomes for report in outcome.reports]
            late = max(0.0, *(report.seconds - chosen.size / RATE for report in reports))
            whole = all(report.right for report in reports)
            name = f"ring 1/{part}: read of the device, to its size (optimum {optimum})"
            rows += [
                at_most(name, [outcome.share for outcome in outcomes], NEAR * optimum),
                Row(f"ring 1/{part}: seconds behind its pace, the worst", f"{late:.2f}", "", holds=whole),
            ]
    finish(f"{READERS} equal readers, an eighth of the image apart, --pace free", rows)


if __name__ == "__main__":
    main()
