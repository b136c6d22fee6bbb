"""A slow target beside three fast ones, on a slow source: all at its pace, or, with --pace free, only itself.

strict: the source is read once, and the fast ones finish when the slow one does.
free:   the fast ones finish as if they were alone; the slow one costs at most one more pass.
"""

import statistics
from pathlib import Path

from fanoutfs.units import parse_size
from tests.rig.harness import Options, at_most, finish, info, options
from tests.rig.ram import image
from tests.rig.slow_mount import Outcome, rows_of, slow_mount
from tests.rig.timed_readers import DD

FAST = 3
PACE = 10_000_000  # bytes per second of the slow reader
ONE_PASS = 1.03
TWO_PASSES = 2.05
AS_IF_ALONE = 1.1


def run(chosen: Options, file: Path, pace: str, *, slow: bool) -> Outcome:
    """Run the fast readers, and after them in the list the slow one."""
    with slow_mount(chosen, file, "--pace", pace) as on:
        for _ in range(FAST):
            on.readers.ready(on.mount.image, *DD)
        if slow:
            on.readers.ready(on.mount.image, *DD, rate=PACE)
        on.readers.go()
        return on.outcome()


def of_fast(outcome: Outcome) -> float:
    """Return the seconds that the last of the fast readers took."""
    return max(report.seconds for report in outcome.reports[:FAST])


def of_slow(outcome: Outcome) -> float:
    """Return the seconds that the slow reader took."""
    return outcome.reports[FAST].seconds


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="512M")
    with image(chosen.size) as file:
        rounds = range(chosen.rounds)
        alone = [run(chosen, file, "free", slow=False) for _ in rounds]
        free = [run(chosen, file, "free", slow=True) for _ in rounds]
        strict = [run(chosen, file, "strict", slow=True) for _ in rounds]
    usual = statistics.median(map(of_fast, alone))
    behind = [of_slow(outcome) - of_fast(outcome) for outcome in strict]
    reach = 1.05 * parse_size(chosen.ring) / PACE + 1  # what the ring holds for the slow reader, and a second
    paces = [of_slow(outcome) * PACE / chosen.size for outcome in strict]
    fast = [of_fast(outcome) / usual for outcome in free]
    rows = [
        rows_of(alone, TWO_PASSES, "the fast ones alone: ")[0],
        *rows_of(strict, ONE_PASS, "strict: "),
        at_most("strict: the slow one ends after the fast ones by", [max(behind)], reach, " s"),
        at_most("strict: the slow one's time to size / pace", paces, AS_IF_ALONE),
        *rows_of(free, TWO_PASSES, "free: "),
        at_most(f"free: the fast ones' time to that alone ({usual:.2f} s)", fast, AS_IF_ALONE),
        info("free: seconds until the slow one ended", f"{statistics.median(map(of_slow, free)):.1f}"),
    ]
    finish(f"one reader of {PACE // 1_000_000} MB/s and {FAST} fast ones, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
