"""Fifty `fanoutfs copy` of one source, begun in one instant with no producer there: one producer, one pass.

Each of them is a process of its own that looks for a producer, and becomes it where there is none. Fifty
Pythons take some 25 seconds of processor time to start, which two processors do in 13: a pass must last
longer, or the first would be done, and the producer gone, before the last has come. So the source gives 2.5
MiB/s (--read-rate), 64 MiB in 26 seconds; fifty targets of that size are 3.2 GiB of memory. The ring holds
the image, so the late ones find there what was read before they came.
"""

import time
from pathlib import Path

import attrs

from fanoutfs.units import MIB
from tests.rig.harness import Options, Row, all_of, at_most, finish, options, wait_for_quiet
from tests.rig.images import write_pattern
from tests.rig.loops import attached, bytes_read
from tests.rig.measured_copies import Watch, copies, same
from tests.rig.ram import folder, need_memory
from tests.rig.timed_readers import POLL

COUNT = 50
RATE = 5 * MIB // 2
BAR = 1.02
LOOK = 10 * POLL  # fifty commands want the processors


@attrs.frozen
class Run:
    """What came of the fifty."""

    share: float
    right: list[bool]
    producers: int
    """How many the log knows of, and how many were seen, whichever is more."""
    joined: float
    """Seconds until the last had joined."""
    seconds: float


def run(chosen: Options, file: Path, place: Path) -> Run:
    """Copy fifty times."""
    targets = [place / f"target-{number}" for number in range(COUNT)]
    log = place / "log"
    words = ("--read-rate", str(RATE), "--ring", chosen.ring, "--log", str(log))
    wait_for_quiet()
    with attached(file, "--read-only") as device:
        before = bytes_read(device)
        watch = Watch.of(device)
        with copies(chosen.fanoutfs, device) as made:
            for target in targets:
                made.start([target], *words)
            start = made.started[0].start
            while made.running:
                watch.look()
                time.sleep(LOOK)
            seconds = time.monotonic() - start
            codes = [copy.wait() for copy in made.started]
        share = (bytes_read(device) - before) / chosen.size
    for copy in made.started:
        if copy.wait():
            print(copy.said())
    right = [code == 0 and same(target, file) for code, target in zip(codes, targets, strict=True)]
    for target in targets:
        target.unlink()
    logged = log.read_text().count("has a producer")
    log.unlink()
    last = max((seen.joined - start for seen in watch.targets.values()), default=0.0)
    return Run(share, right, max(logged, len(watch.producers)), last, seconds)


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="64M", rounds=3, ring="64M")
    need_memory((COUNT + 2) * chosen.size)
    with folder() as ram:
        file = write_pattern(ram / "source", chosen.size)
        runs = [run(chosen, file, ram) for _ in range(chosen.rounds)]
    most = max(run.producers for run in runs)
    rows = [
        all_of("copies that equal the source", [right for run in runs for right in run.right]),
        Row("producers", f"{most}", "1", most == 1),
        at_most("read of the device, to its size", [run.share for run in runs], BAR),
        at_most("seconds until the last had joined", [run.joined for run in runs], float("inf")),
        at_most("seconds until the last had ended", [run.seconds for run in runs], float("inf")),
    ]
    finish(f"{COUNT} copies at once from nothing, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
