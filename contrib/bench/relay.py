"""A relay: a second host mounts what the first exports, and four readers there cost the link one pass.

Two `dd` at once, a `cp` a quarter of a pass later, and a further `dd` at half of it. The second host's ring
has the default size, which here holds the image: nothing crosses the link a second time.

The link's traffic is the kernel's count of the second host's interface. The kernel passes up to 64 KiB over a
virtual link with one header of 66 bytes; a real one has such a header in each 1,514 bytes, 4.6 % more that
are not counted here.
"""

from pathlib import Path

from tests.rig.harness import Options, at_most, finish, options
from tests.rig.joined_copies import Outcome, rows_of, slow_stage
from tests.rig.measured_copies import Copy
from tests.rig.measured_mounts import fanout_mount
from tests.rig.ram import source_and_targets

JOINS = (0.0, 0.0, 0.25, 0.5)  # passes after the first
CP = 2  # this one is a cp, the others are dd
BAR = 1.02


def run(chosen: Options, file: Path, targets: list[Path]) -> Outcome:
    """Read the image through the second host's mount."""
    for target in targets:
        target.unlink(missing_ok=True)
    with slow_stage(chosen, file, targets, hosts=2, ring=chosen.ring) as stage:
        (second,) = stage.on.others
        with fanout_mount(stage.on.program(second), stage.on.export, None) as relay:

            def begin(number: int) -> Copy:
                dd = ["dd", f"if={relay.image}", f"of={targets[number]}", "bs=1M"]
                argv = ["cp", relay.image, targets[number]] if number == CP else dd
                return stage.on.start(second, *argv)

            return stage.run(JOINS, begin)


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="512M", rounds=3)
    with source_and_targets(chosen.size, len(JOINS)) as (file, targets):
        runs = [run(chosen, file, targets) for _ in range(chosen.rounds)]
    rows = rows_of(runs, JOINS, share=BAR)
    rows.append(at_most("received over the link, to the image's size", [run.links[0] for run in runs], BAR))
    finish(f"4 readers behind a relay of {chosen.size >> 20} MiB of a slow source", rows)


if __name__ == "__main__":
    main()
