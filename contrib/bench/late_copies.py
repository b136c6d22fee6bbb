"""Four `fanoutfs copy --verify` of a slow source, a quarter of a pass apart: 1.75 passes, each done in one.

A copy's time is from the start of its command to its last block; the verification, which reads the target
back, comes after that. The commands run in the cgroup for which the source is slow, because the first forks
the producer.

The targets are like USB sticks: they exist before, in full size. With 2 GiB a pass is 20 seconds, and the
half second that a command takes until it has joined is 2.5 %.
"""

from pathlib import Path

from tests.rig.copy_watch import Watch
from tests.rig.harness import Options, finish, measured, options, wait_for_quiet
from tests.rig.joined_copies import Outcome, rows_of, verified
from tests.rig.limited import RATE, limited_source
from tests.rig.measured_copies import copies, join, zeroed
from tests.rig.ram import source_and_targets

JOINS = (0.0, 0.25, 0.5, 0.75)  # passes after the first
BAR = 1.77
OWN = 1.03  # passes that each copy may take


def run(chosen: Options, file: Path, targets: list[Path]) -> tuple[Outcome, list[float]]:
    """Copy four times; return also the seconds until each had joined."""
    for target in targets:
        zeroed(target, chosen.size)
    wait_for_quiet()
    with limited_source(file) as source:
        watch = Watch(source.device)
        flags = ["--verify", "--ring", chosen.ring]
        groups = [source.group] if source.group else []
        if not groups:
            flags += ["--read-rate", str(RATE)]
        with copies(chosen.fanoutfs, source.device) as made:
            started = join(
                [part * chosen.size / RATE for part in JOINS],
                lambda number: made.start([targets[number]], *flags, groups=groups),
                watch.look,
            )
            watch.follow(lambda: made.running)
            share = source.share()
    seen = [watch.targets[str(target)] for target in targets]
    joined = [one.joined - copy.start for one, copy in zip(seen, started, strict=True)]
    return Outcome.of(share, started, [one.ended for one in seen], targets, file), joined


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="2G", rounds=3, ring="102M")
    with source_and_targets(chosen.size, len(JOINS)) as (file, targets):
        runs = [run(chosen, file, targets) for _ in range(chosen.rounds)]
    outcomes = [outcome for outcome, _ in runs]
    rows = [verified(outcomes), *rows_of(outcomes, JOINS, share=BAR, passes=OWN)]
    rows += [
        measured(f"seconds until the copy at {part} had joined", [joined[number] for _, joined in runs])
        for number, part in enumerate(JOINS)
    ]
    finish(f"4 copies of a slow source, a quarter of a pass apart, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
