"""Six cp of the image, started in the same instant, many times over: none fails, and all copies are right.

This is where cp compares the inode numbers of a file that others look up at the same time.
"""

import subprocess

from tests.rig.harness import all_of, finish, options
from tests.rig.measured_mounts import fanout_mount
from tests.rig.ram import image
from tests.rig.ready_readers import run_together

COPIES = 6


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="100M", rounds=20, ring="16M")
    succeeded, right = [], []
    with image(chosen.size) as source:
        targets = [source.with_name(f"copy{number}") for number in range(COPIES)]
        with fanout_mount(chosen.fanoutfs, source, chosen.ring) as mount:
            for _ in range(chosen.rounds):
                run = run_together([["cp", mount.image, target] for target in targets], mount)
                succeeded += [code == 0 for code in run.codes]
                for target in targets:
                    right.append(subprocess.run(["cmp", "-s", source, target], check=False).returncode == 0)
                    target.unlink(missing_ok=True)
    rows = [all_of("cp that succeeded", succeeded), all_of("copies that equal the source", right)]
    finish(f"{COPIES} cp in the same instant, {chosen.rounds} times", rows)


if __name__ == "__main__":
    main()
