"""Six cp of the image, started in the same instant, many times over: none refuses, and all are right.

This is where cp compares inode numbers of a file that others look up at the same time.
"""

import subprocess

from tests.rig.harness import Row, finish, options
from tests.rig.images import write_pattern
from tests.rig.measured_mounts import fanout_mount
from tests.rig.ram import folder
from tests.rig.ready_readers import run_together

COPIES = 6


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="100M", rounds=20, ring="16M")
    refused = right = 0
    with folder() as ram:
        source = write_pattern(ram / "source", chosen.size)
        targets = [ram / f"copy{number}" for number in range(COPIES)]
        with fanout_mount(chosen.fanoutfs, source, chosen.ring) as mount:
            for _ in range(chosen.rounds):
                run = run_together([["cp", mount.image, target] for target in targets], mount)
                refused += COPIES - run.codes.count(0)
                for target in targets:
                    right += subprocess.run(["cmp", "--quiet", source, target], check=False).returncode == 0
                    target.unlink(missing_ok=True)
    copies = COPIES * chosen.rounds
    rows = [
        Row("cp that refused or failed", f"{refused} of {copies}", "none", refused == 0),
        Row("copies that equal the source", f"{right} of {copies}", "all", right == copies),
    ]
    finish(f"{COPIES} cp in the same instant, {chosen.rounds} times", rows)


if __name__ == "__main__":
    main()
