"""Three hosts copy from a fourth, and join at 0, 1/4 and 1/2 of a pass: 1.5 passes over its source.

The source is as slow as a disk (tests/rig/limited.py), and only the host that has it reads it. The copies
(`fanoutfs copy --verify http://node1`) start at fixed parts of a pass. The ring there is first a twentieth of
the image, then of the default size.
"""

from pathlib import Path

from tests.rig.harness import Options, at_most, finish, info, options
from tests.rig.joined_copies import Outcome, rows_of, slow_stage, verified
from tests.rig.measured_copies import zeroed
from tests.rig.ram import source_and_targets
from tests.rig.services import statuses

JOINS = (0.0, 0.25, 0.5)  # passes after the first
BAR = 1.55
OWN = 1.05
"""Passes that the last copy costs from where it began, round."""
LINK = 1.02
"""Images that each host may receive."""


def run(chosen: Options, file: Path, targets: list[Path], ring: str | None) -> tuple[Outcome, float]:
    """Copy to each target from a different host; return also where in the image the last one began."""
    for target in targets:
        zeroed(target, chosen.size)
    began: dict[str, int] = {}
    with slow_stage(chosen, file, targets, hosts=1 + len(targets), ring=ring) as stage:
        on = stage.on

        def look() -> None:
            readers = [
                reader for host in on.others for status in statuses(host) for reader in status["readers"]
            ]
            began.update({reader["target"]: reader["start"] for reader in readers if reader["target"]})

        outcome = stage.run(
            JOINS, lambda number: on.copy(on.others[number], on.url, targets[number], "--verify"), look
        )
    return outcome, began[str(targets[-1])] / chosen.size


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="1G", rounds=3, ring=None)
    rows = []
    # Each host's ring may be as large as the image.
    with source_and_targets(chosen.size, len(JOINS), images=9) as (file, targets):
        for name, ring in {"a twentieth": str(chosen.size // 20), "by default": None}.items():
            runs = [run(chosen, file, targets, ring) for _ in range(chosen.rounds)]
            outcomes = [outcome for outcome, _ in runs]
            beyond = [outcome.share - began for outcome, began in runs]
            links = [max(outcome.links) for outcome in outcomes]
            rows += [
                info("ring", name),
                verified(outcomes),
                *rows_of(outcomes, JOINS, share=BAR),
                at_most("read beyond the head's position when the last copy joined", beyond, OWN),
                at_most("received by a host, at most, to its size", links, LINK),
            ]
    finish(f"{len(JOINS)} hosts copy {chosen.size >> 20} MiB from a slow source on a further host", rows)


if __name__ == "__main__":
    main()
