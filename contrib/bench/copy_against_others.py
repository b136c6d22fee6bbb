"""Four targets at once, from a tmpfs to existing files in a tmpfs: fanoutfs, dcfldd, dc3dd, tee.

The time is of the whole command. All write to the same files, which exist in full size. But dcfldd, dc3dd and
tee truncate the files that they open, and the kernel then has to find memory for them anew; so each of them
runs as it is, and once more with no_truncation.c, which prevents the truncation. The bar is for the programs
as they are; the other ratios are shown.

The programs are Debian's packages dcfldd, dc3dd and coreutils; gcc makes a library of no_truncation.c.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from fanoutfs.units import MIB
from tests.rig.harness import Options, all_of, alternate, at_most, finish, options
from tests.rig.measured_copies import checked, copies
from tests.rig.ram import source_and_targets
from tests.rig.ready_readers import alarm

COUNT = 4
NEEDS = ("dcfldd", "dc3dd", "tee", "gcc")
PROGRAM = Path(__file__).parent / "no_truncation.c"
BLOCKS = ("32K", "1M")  # dcfldd's default, and one as large as fanoutfs's
KEPT = ", files kept"
TEE = 'source=$1 last=$2; shift 2; exec tee "$@" <"$source" {redirect}"$last"'
Command = list[str | Path]


def library(place: Path) -> Path:
    """Compile the library that prevents truncation."""
    made = place / "no_truncation.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", made, PROGRAM, "-ldl"], check=True)
    return made


def others(source: Path, targets: Sequence[Path], library: Path) -> dict[str, Command]:
    """Return the other programs' commands by their names in the table."""
    of = [f"of={target}" for target in targets]
    preload: Command = ["env", f"LD_PRELOAD={library}"]
    found: dict[str, Command] = {
        f"dcfldd bs={block}": ["dcfldd", f"if={source}", *of, f"bs={block}", "status=off"] for block in BLOCKS
    }
    found["dc3dd"] = ["dc3dd", f"if={source}", *of]
    found |= {name + KEPT: [*preload, *command] for name, command in found.items()}
    found["tee"] = ["sh", "-c", TEE.format(redirect=">"), "sh", source, *targets]
    found[f"tee{KEPT}"] = [*preload, "sh", "-c", TEE.format(redirect="1<>"), "sh", source, *targets]
    return found


def ours(chosen: Options, source: Path, targets: Sequence[Path], *flags: str) -> float:
    """Copy with fanoutfs; return the command's seconds, without those in which its producer leaves."""
    with copies(chosen.fanoutfs, source) as made:
        return made.start(targets, *flags).seconds()


def other(command: Command) -> float:
    """Copy with a different program; return its seconds."""
    null = subprocess.DEVNULL
    with alarm():
        start = time.monotonic()
        subprocess.run(command, check=True, stdin=null, stdout=null, stderr=null)
        return time.monotonic() - start


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="2G", rounds=5)
    if missing := [name for name in NEEDS if shutil.which(name) is None]:
        sys.exit(f"copy_against_others needs programs that are missing: apt install {' '.join(missing)}")
    with source_and_targets(chosen.size, COUNT) as (source, targets):
        theirs = others(source, targets, library(source.parent))
        mine: dict[str, Callable[[], float]] = {
            "fanoutfs": partial(ours, chosen, source, targets),
            f"fanoutfs --ring {chosen.ring}": partial(ours, chosen, source, targets, "--ring", chosen.ring),
        }
        ways = mine | {name: partial(other, command) for name, command in theirs.items()}

        def rate(way: Callable[[], float]) -> float:
            return chosen.size / MIB / checked(source, targets, way)

        rates = alternate(chosen.rounds, {name: partial(rate, way) for name, way in ways.items()})
    rows = [all_of("commands all of whose copies were right", [True] * len(rates))]  # else checked() raised
    rows += [
        at_most(
            f"{name}: its time to that of {peer}",
            [rates[peer] / rates[name]],
            float("inf") if peer.endswith(KEPT) else 1.0,
        )
        for name in mine
        for peer in theirs
    ]
    finish(f"{COUNT} targets at once, {chosen.size // MIB} MiB, all in tmpfs", rows)


if __name__ == "__main__":
    main()
