"""Four nbdcopy, two seconds apart, of the export of a slow source: what is read of it, to what must be.

nbdcopy reads in order and does not cooperate with other readers. `fanoutfs simulate` predicts what four such
readers cost with this ring and at this distance; the bar is that and 5 %.
"""

from pathlib import Path

from contrib.bench.exported import APART, CLIENTS, MORE, modelled
from tests.rig.harness import Options, finish, info, options
from tests.rig.joined_copies import Outcome, rows_of, slow_stage
from tests.rig.limited import RATE
from tests.rig.ram import source_and_targets


def run(chosen: Options, file: Path, targets: list[Path], joins: list[float]) -> Outcome:
    """Copy to each target from a different host."""
    for target in targets:
        target.unlink(missing_ok=True)
    with slow_stage(chosen, file, targets, hosts=1 + CLIENTS, ring=chosen.ring) as stage:
        on = stage.on
        return stage.run(
            joins, lambda number: on.start(on.others[number], "nbdcopy", on.export, targets[number])
        )


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="512M", rounds=3, ring="64M")
    model = modelled(chosen, APART)
    joins = [number * APART * RATE / chosen.size for number in range(CLIENTS)]
    with source_and_targets(chosen.size, CLIENTS) as (file, targets):
        runs = [run(chosen, file, targets, joins) for _ in range(chosen.rounds)]
    rows = [info("passes over the source by the model", f"{model:.3f}")]
    rows += rows_of(runs, joins, share=MORE * model)
    finish(f"{CLIENTS} nbdcopy, {APART} s apart, of {chosen.size >> 20} MiB, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
