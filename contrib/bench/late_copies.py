"""Four `fanoutfs copy --verify` of a slow source, a quarter of a pass apart: 1.75 passes, each done in one.

A copy's time is from the start of its command to its last block; to read the target back comes after that.
They are started by the clock, of which a pass is the image's size by the source's rate. The commands run in
the cgroup for which the source is slow, for the first of them forks the producer.

The targets are as sticks are: there before, and of full size. 2 GiB make a pass of 20 seconds, in which the
half second that a command takes until it has joined is 2.5 %.
"""

import time
from pathlib import Path

import attrs

from tests.rig.harness import Options, all_of, at_most, finish, options, wait_for_quiet
from tests.rig.images import write_pattern
from tests.rig.limited import RATE, limited_source
from tests.rig.measured_copies import Watch, copies, same, written_before
from tests.rig.ram import folder, need_memory
from tests.rig.timed_readers import POLL

JOINS = (0.0, 0.25, 0.5, 0.75)  # passes after the first
BAR = 1.77
OWN = 1.03  # passes of its own time that each may take


@attrs.frozen
class Run:
    """What came of the four."""

    share: float
    """Read of the device, to its size."""
    passes: list[float]
    """How long each took to copy."""
    joined: list[float]
    """After how many seconds each was there."""
    verified: list[bool]
    equal: list[bool]


def run(chosen: Options, file: Path, targets: list[Path]) -> Run:
    """Copy four times."""
    for target in targets:
        written_before(target, chosen.size)
    wait_for_quiet()
    one_pass = chosen.size / RATE
    words = ["--verify", "--ring", chosen.ring]
    with limited_source(file) as source:
        device = source.device
        if source.group is None:
            words += ["--read-rate", str(RATE)]
        groups = [] if source.group is None else [source.group]
        watch = Watch.of(device)
        with copies(chosen.fanoutfs, device) as made:
            for join, target in zip(JOINS, targets, strict=True):
                while made.started and time.monotonic() < made.started[0].start + join * one_pass:
                    watch.look()
                    time.sleep(POLL)
                made.start([target], *words, groups=groups)
            watch.follow(made)
            share = source.bytes_read() / chosen.size
        seen = [watch.targets[str(target)] for target in targets]
        starts = [copy.start for copy in made.started]
        return Run(
            share,
            [((s.ended or 0.0) - start) / one_pass for s, start in zip(seen, starts, strict=True)],
            [s.joined - start for s, start in zip(seen, starts, strict=True)],
            [copy.wait() == 0 and "verified in" in copy.said() for copy in made.started],
            [same(target, file) for target in targets],
        )


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="2G", rounds=3, ring="102M")
    need_memory((len(JOINS) + 2) * chosen.size)
    with folder() as ram:
        file = write_pattern(ram / "source", chosen.size)
        targets = [ram / f"target-{number}" for number in range(len(JOINS))]
        runs = [run(chosen, file, targets) for _ in range(chosen.rounds)]
    rows = [
        all_of("verified by the command itself", [verified for run in runs for verified in run.verified]),
        all_of("copies that equal the source", [equal for run in runs for equal in run.equal]),
        at_most("read of the device, to its size", [run.share for run in runs], BAR),
    ]
    for number, join in enumerate(JOINS):
        rows += [
            at_most(
                f"passes that the one at {join} took, from its start",
                [run.passes[number] for run in runs],
                OWN,
            ),
            at_most(
                "    of which it took to join",
                [run.joined[number] for run in runs],
                float("inf"),
                " s",
            ),
        ]
    finish(f"4 copies of a slow source, a quarter of a pass apart, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
