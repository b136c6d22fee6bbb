"""How long a newcomer waits for its first byte, at the start or the end, beside three dd of a slow source.

`dd bs=4096 count=1` and `tail -c 4096`, timed as a whole, processes and all, in turn as the three go on.
"""

import subprocess
import time
from pathlib import Path

from tests.rig.crew import DD, stage
from tests.rig.harness import Options, all_of, at_most, finish, options, wait_for_quiet
from tests.rig.images import write_pattern
from tests.rig.ram import folder

COPYING = 3
PIECE = 4096
BAR = 0.3  # seconds, for the worst of all tries
EVERY = 0.35  # seconds between two tries


def tries(chosen: Options, file: Path) -> tuple[dict[str, list[float]], list[bool]]:
    """Give the seconds of each try while the three copied, and whether each copy and each try was right."""
    wait_for_quiet()
    with file.open("rb") as opened:
        start = opened.read(PIECE)
        opened.seek(-PIECE, 2)
        end = opened.read()
    found: dict[str, list[float]] = {"dd": [], "tail": []}
    right = []
    with stage(chosen, file) as on:
        readers = [on.crew.ready(on.mount.image, *DD) for _ in range(COPYING)]
        for reader in readers:
            reader.go()
        image = on.mount.image
        commands: list[tuple[str, list[str | Path], bytes]] = [
            ("dd", ["dd", f"if={image}", f"bs={PIECE}", "count=1", "status=none"], start),
            ("tail", ["tail", "-c", str(PIECE), image], end),
        ]
        while on.mount.head() < 0.9 * chosen.size:
            for name, command, expected in commands:
                time.sleep(EVERY / len(commands))
                before = time.monotonic()
                piece = subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout
                found[name].append(time.monotonic() - before)
                right.append(piece == expected)
        right += [report.right for report in on.crew.wait()]
    return found, right


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="512M", rounds=2)
    with folder() as ram:
        file = write_pattern(ram / "source", chosen.size)
        runs = [tries(chosen, file) for _ in range(chosen.rounds)]
    dd = [seconds for found, _ in runs for seconds in found["dd"]]
    tail = [seconds for found, _ in runs for seconds in found["tail"]]
    rows = [
        all_of("copies and pieces that equal the source", [each for _, right in runs for each in right]),
        at_most(f"the worst of {len(dd)} dd bs=4096 count=1", [max(dd)], BAR, " s"),
        at_most(f"the worst of {len(tail)} tail -c 4096", [max(tail)], BAR, " s"),
        at_most("the median of all", [sorted(dd + tail)[len(dd + tail) // 2]], BAR, " s"),
    ]
    finish(f"first byte beside {COPYING} dd of a slow source, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
