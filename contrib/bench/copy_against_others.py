"""Four targets at once, from a tmpfs to files in a tmpfs, there before: fanoutfs, dcfldd, dc3dd, tee.

What is timed is the whole command, from its start to its end. All have the same files, which were written
full before. But dcfldd, dc3dd and tee empty the files that they open, and then have to get memory for them
anew; so each of them is run as it is, and once more with no_truncation.c, which takes that from them. The
bar is for what they are; how near they come otherwise is shown.

They are Debian's packages dcfldd, dc3dd and coreutils; gcc makes a library of no_truncation.c.
"""

import functools
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fanoutfs.units import MIB
from tests.rig.harness import Options, all_of, alternate, at_most, finish, options
from tests.rig.images import write_pattern
from tests.rig.measured_copies import copies, same, written_before
from tests.rig.ram import folder, need_memory
from tests.rig.ready_readers import alarm

COUNT = 4
NEEDS = ("dcfldd", "dc3dd", "tee", "gcc")
PROGRAM = Path(__file__).parent / "no_truncation.c"
BLOCKS = ("32K", "1M")  # dcfldd's own, and one as large as fanoutfs's
KEPT = ", files kept"
Command = list[str | Path]


def library(place: Path) -> Path:
    """Compile what keeps a program from emptying its files."""
    made = place / "no_truncation.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", made, PROGRAM, "-ldl"], check=True)
    return made


def others(source: Path, targets: Sequence[Path], keeping: Path) -> dict[str, Command]:
    """Write down the other programs' commands, by what they are called in the answer."""
    of = [f"of={target}" for target in targets]
    tee = ["sh", "-c", 'source=$1 last=$2; shift 2; exec tee "$@" <"$source" >"$last"', "sh"]
    kept = ["sh", "-c", tee[2].replace(' >"$last"', ' 1<>"$last"'), "sh"]
    names: list[str | Path] = [source, targets[0], *targets[1:]]
    found: dict[str, Command] = {
        f"dcfldd bs={block}": ["dcfldd", f"if={source}", *of, f"bs={block}", "status=off"] for block in BLOCKS
    }
    found["dc3dd"] = ["dc3dd", f"if={source}", *of]
    preloaded: Command = ["env", f"LD_PRELOAD={keeping}"]
    found |= {name + KEPT: [*preloaded, *command] for name, command in found.items()}
    return found | {"tee": [*tee, *names], f"tee{KEPT}": [*preloaded, *kept, *names]}


def timed(chosen: Options, source: Path, targets: Sequence[Path], run: Callable[[], float]) -> float:
    """Give the MiB of the source per second of one command, whose copies must be right."""
    for target in targets:
        written_before(target, chosen.size)
    seconds = run()
    if not all(same(target, source) for target in targets):
        raise RuntimeError("a copy is wrong")
    return chosen.size / MIB / seconds


def ours(chosen: Options, source: Path, targets: Sequence[Path], *words: str) -> float:
    """Copy with fanoutfs; gives the command's seconds, without those in which its producer leaves."""
    with copies(chosen.fanoutfs, source) as made:
        copy = made.start(targets, *words)
        code = copy.wait()
        seconds = time.monotonic() - copy.start
        if code:
            raise RuntimeError(f"fanoutfs copy ended with {code}: {copy.said()}")
        return seconds


def other(command: Command) -> float:
    """Copy with another program; gives its seconds."""
    null = subprocess.DEVNULL
    with alarm():
        start = time.monotonic()
        subprocess.run(command, check=True, stdin=null, stdout=null, stderr=null)
        return time.monotonic() - start


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="2G", rounds=5)
    if missing := [name for name in NEEDS if shutil.which(name) is None]:
        sys.exit(f"copy_against_others needs what is not here: apt install {' '.join(missing)}")
    need_memory((COUNT + 2) * chosen.size)
    with folder() as ram:
        source = write_pattern(ram / "source", chosen.size)
        targets = [ram / f"target-{number}" for number in range(COUNT)]
        mine = ("fanoutfs", f"fanoutfs --ring {chosen.ring}")
        theirs = others(source, targets, library(ram))
        ways: dict[str, Callable[[], float]] = {
            mine[0]: functools.partial(ours, chosen, source, targets),
            mine[1]: functools.partial(ours, chosen, source, targets, "--ring", chosen.ring),
        }
        ways |= {name: functools.partial(other, command) for name, command in theirs.items()}
        runs: dict[str, Callable[[], float]] = {
            name: functools.partial(timed, chosen, source, targets, way) for name, way in ways.items()
        }
        rates = alternate(chosen.rounds, runs)
    # A wrong copy would have ended this.
    rows = [all_of("commands all of whose copies were right", [True] * len(rates))]
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
