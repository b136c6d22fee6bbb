"""Fifty `fanoutfs copy` of one source, started at once without a producer: one producer, one pass.

Each process looks for a producer, and becomes it if it finds none. Fifty Pythons take some 25 seconds of
processor time to start, 13 seconds on two processors: a pass must last longer, or the first copies would be
done, and the producer gone, before the last has joined. So the source gives 2.5 MiB/s (--read-rate), 64 MiB
in 26 seconds; fifty targets of that size are 3.2 GiB of memory. The ring holds the image, so the late copies
find in it what was read before they joined.
"""

from pathlib import Path

import attrs

from fanoutfs.units import MIB
from tests.rig.copy_watch import Watch
from tests.rig.harness import Options, all_of, at_most, exactly, finish, measured, options, wait_for_quiet
from tests.rig.loops import attached, bytes_read
from tests.rig.measured_copies import copies, ends, same
from tests.rig.ram import source_and_targets
from tests.rig.timed_readers import POLL

COUNT = 50
RATE = 5 * MIB // 2
BAR = 1.02
LOOK = 10 * POLL  # the fifty commands need the processors


@attrs.frozen
class Run:
    """The outcome of the fifty copies."""

    share: float
    right: list[bool]
    producers: int
    """In the log or in the status, whichever is more."""
    joined: float
    """Seconds until the last had joined."""
    seconds: float


def run(chosen: Options, file: Path, targets: list[Path]) -> Run:
    """Copy fifty times."""
    log = file.with_name("log")
    flags = ("--read-rate", str(RATE), "--ring", chosen.ring, "--log", str(log))
    wait_for_quiet()
    with attached(file, "--read-only") as device:
        before, watch = bytes_read(device), Watch(device)
        with copies(chosen.fanoutfs, device) as made:
            started = [made.start([target], *flags) for target in targets]
            watch.follow(lambda: made.running, LOOK)
            seconds = max(ends(started)) - started[0].start
        share = (bytes_read(device) - before) / chosen.size
    right = [copy.succeeded() and same(target, file) for copy, target in zip(started, targets, strict=True)]
    producers = max(log.read_text().count("has a producer"), len(watch.producers))
    for path in (*targets, log):
        path.unlink()
    joined = max((seen.joined for seen in watch.targets.values()), default=0.0) - started[0].start
    return Run(share, right, producers, joined, seconds)


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="64M", rounds=3, ring="64M")
    with source_and_targets(chosen.size, COUNT) as (file, targets):
        runs = [run(chosen, file, targets) for _ in range(chosen.rounds)]
    rows = [
        all_of("copies that equal the source", [right for run in runs for right in run.right]),
        exactly("producers", max(run.producers for run in runs), 1),
        at_most("read of the device, to its size", [run.share for run in runs], BAR),
        measured("seconds until the last had joined", [run.joined for run in runs]),
        measured("seconds until the last had ended", [run.seconds for run in runs]),
    ]
    finish(f"{COUNT} copies at once without a producer, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
