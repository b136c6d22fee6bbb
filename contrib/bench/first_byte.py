"""How long a late reader waits for its first byte, at the start or the end, beside three dd of a slow source.

`dd bs=4096 count=1` and `tail -c 4096` in turn while the three read; each timed as a whole process.
"""

import statistics
import subprocess
import time
from pathlib import Path

from tests.rig.harness import Options, all_of, at_most, finish, options
from tests.rig.images import pattern
from tests.rig.ram import image
from tests.rig.slow_mount import slow_mount
from tests.rig.timed_readers import DD

COPYING = 3
PIECE = 4096
BAR = 0.3  # seconds, for the worst of all tries
EVERY = 0.35  # seconds between two tries of a command


def tries(chosen: Options, file: Path) -> tuple[dict[str, list[float]], list[bool]]:
    """Return the seconds of each try while the three read, and whether each copy and each try was right."""
    found: dict[str, list[float]] = {"dd": [], "tail": []}
    right = []
    with slow_mount(chosen, file) as on:
        for _ in range(COPYING):
            on.readers.ready(on.mount.image, *DD)
        on.readers.go()
        commands: dict[str, tuple[list[str | Path], bytes]] = {
            "dd": (
                ["dd", f"if={on.mount.image}", f"bs={PIECE}", "count=1", "status=none"],
                pattern(0, PIECE),
            ),
            "tail": (["tail", "-c", str(PIECE), on.mount.image], pattern(chosen.size - PIECE, PIECE)),
        }
        while on.mount.head() < 0.9 * chosen.size:
            for name, (command, expected) in commands.items():
                time.sleep(EVERY / len(commands))
                before = time.monotonic()
                piece = subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout
                found[name].append(time.monotonic() - before)
                right.append(piece == expected)
        right += [report.right for report in on.readers.wait()]
    return found, right


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="512M", rounds=2)
    with image(chosen.size) as file:
        runs = [tries(chosen, file) for _ in range(chosen.rounds)]
    dd = [seconds for found, _ in runs for seconds in found["dd"]]
    tail = [seconds for found, _ in runs for seconds in found["tail"]]
    rows = [
        all_of("copies and pieces that equal the source", [each for _, right in runs for each in right]),
        at_most(f"the worst of {len(dd)} dd bs=4096 count=1", [max(dd)], BAR, " s"),
        at_most(f"the worst of {len(tail)} tail -c 4096", [max(tail)], BAR, " s"),
        at_most("the median of all", [statistics.median_high(dd + tail)], BAR, " s"),
    ]
    finish(f"first byte beside {COPYING} dd of a slow source, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
