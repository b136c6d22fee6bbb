"""A full target, a slow one and one whose worker is killed, beside two good ones: which copies suffer.

The full target is a file in a tmpfs of a quarter of the image. The slow one is a loop device to which a
cgroup permits 10 MB/s. The third is killed (SIGKILL of its worker) when it has a quarter. The source gives
100 MiB/s (--read-rate), so that "on time" has a meaning: compared with a run of the two good ones alone. The
requirements:

- with --pace free and a ring of a quarter of the image, and with one that holds the image: the good ones
  are right and on time, the output names the bad ones, and the exit code is 1;
- the slow one does not fail: it is right in the end;
- --pace strict with a ring of a quarter: by the rules all proceed at the pace of the slow one, at most a
  ring ahead of it.

The full target fails before the first byte, because files are preallocated; with --sparse it fails in the
middle. For comparison: dc3dd and dcfldd (Debian's packages) with one full target of four.
"""

import contextlib
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from tests.rig.copy_watch import Watch
from tests.rig.harness import (
    Options,
    Row,
    all_of,
    at_most,
    exactly,
    finish,
    info,
    measured,
    options,
    wait_for_quiet,
)
from tests.rig.images import write_pattern
from tests.rig.limited import BLKIO, RATE, control_group
from tests.rig.loops import attached, number
from tests.rig.measured_copies import Copy, copies, same, zeroed
from tests.rig.ram import folder
from tests.rig.ready_readers import alarm

SLOW = 10_000_000  # bytes per second
LIMIT = "blkio.throttle.write_bps_device"
ON_TIME = 1.1
GOOD = ("good-1", "good-2")
OTHERS = ("dc3dd", "dcfldd")
SCENARIOS = (
    ("free", "free", 4, True),
    ("strict, ring as the image", "strict", 1, True),
    ("strict, ring a quarter", "strict", 4, False),
)
"""Name, pace, the image's size by the ring's, and whether the good copies must be on time."""


@attrs.frozen
class Place:
    """The places of the targets."""

    folder: Path
    full: Path
    """A file in a file system that is too small for it."""
    slow: Path
    """A device, slow for the processes in ``group``."""
    backing: Path
    """The file behind that device."""
    group: Path
    size: int

    def good(self) -> list[Path]:
        """Write the good targets, so that they exist before the copy."""
        return [zeroed(self.folder / name, self.size) for name in GOOD]

    def clean(self) -> None:
        """Remove what is left in the small file system."""
        self.full.unlink(missing_ok=True)


@contextlib.contextmanager
def place(ram: Path, size: int) -> Iterator[Place]:
    """Make the small file system and the slow device."""
    small, backing = ram / "small", ram / "backing"
    small.mkdir()
    zeroed(backing, size)
    with contextlib.ExitStack() as stack:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size // 4}", "none", small], check=True)
        stack.callback(lambda: subprocess.run(["umount", small], check=True))
        slow = stack.enter_context(attached(backing))
        group = stack.enter_context(control_group(BLKIO, "slow", LIMIT, f"{number(slow)} {SLOW}"))
        yield Place(ram, small / "full", slow, backing, group, size)


@attrs.frozen
class Run:
    """The outcome of one command."""

    code: int
    output: str
    seconds: dict[str, float]
    """From the command's start until each target had its last byte, or had failed."""

    def good(self, targets: Sequence[Path]) -> float:
        """Return the seconds of the last of these."""
        return max(self.seconds.get(str(target), float("inf")) for target in targets)

    def names(self, target: Path, detail: str = "") -> bool:
        """Return whether a line names a target as failed, with this detail."""
        lines = self.output.splitlines()
        return any(line.startswith(f"{target}: FAILED") and detail in line for line in lines)


def copied(chosen: Options, source: Path, on: Place, targets: Sequence[Path], flags: Sequence[str]) -> Run:
    """Copy, and kill the worker of a target with the name ``killed`` when it has a quarter."""
    wait_for_quiet()
    watch = Watch(source)
    with copies(chosen.fanoutfs, source) as made:
        copy = made.start(targets, "--read-rate", str(RATE), *flags, groups=[on.group])
        watch.follow(lambda: copy.running and not kill_one(watch, copy, on.size))
        watch.follow(lambda: copy.running)
        ends = {name: seen.ended - copy.start for name, seen in watch.targets.items()}
        return Run(copy.wait(), copy.output(), ends)


def kill_one(watch: Watch, copy: Copy, size: int) -> bool:
    """Kill the worker of ``killed`` if it has a quarter; return whether it did."""
    for target, seen in watch.targets.items():
        if Path(target).name == "killed" and seen.ended == math.inf and seen.left <= size * 3 // 4:
            assert os.getsid(seen.pid) == copy.process.pid, "this is not our worker"
            os.kill(seen.pid, signal.SIGKILL)
            return True
    return False


def among_bad_ones(
    name: str, chosen: Options, source: Path, on: Place, flags: Sequence[str], *, on_time: bool
) -> list[Row]:
    """Copy to the good ones alone, then with the bad ones; ``on_time``: that must not delay them."""
    good = on.good()
    alone = copied(chosen, source, on, good, flags)
    good = on.good()
    on.clean()
    zeroed(on.backing, on.size)
    killed = zeroed(on.folder / "killed", on.size)
    run = copied(chosen, source, on, [on.full, on.slow, killed, *good], flags)
    usual = alone.good(good)
    print(f"{name}:", *(line for line in run.output.splitlines() if "FAILED" in line), sep="\n    ")
    return [
        all_of(f"{name}: good ones that equal the source", [same(target, source) for target in good]),
        all_of(f"{name}: bad ones that are named", [run.names(on.full), run.names(killed)]),
        exactly(f"{name}: exit code", run.code, 1),
        at_most(
            f"{name}: the good ones' time to that without bad ones ({usual:.2f} s)",
            [run.good(good) / usual],
            ON_TIME if on_time else math.inf,
        ),
        all_of(f"{name}: the slow one equals the source", [same(on.backing, source)]),
        measured(f"{name}: seconds until the slow one had it", [run.good([on.slow])]),
    ]


def full_in_the_middle(chosen: Options, source: Path, on: Place) -> list[Row]:
    """Fill a target while it is copied to."""
    on.clean()
    good = on.good()
    run = copied(chosen, source, on, [on.full, *good], ["--sparse"])
    name = "full in the middle (--sparse)"
    return [
        all_of(f"{name}: good ones that equal the source", [same(target, source) for target in good]),
        all_of(f"{name}: the byte is named", [run.names(on.full, "at byte")]),
        exactly(f"{name}: exit code", run.code, 1),
    ]


def other(program: str, source: Path, on: Place) -> list[Row]:
    """Copy to a full target and three good ones with a different program."""
    if shutil.which(program) is None:
        return [info(f"beside it: {program}", "is not installed (apt install it)")]
    on.clean()
    targets = [*on.good(), zeroed(on.folder / "killed", on.size)]
    command = [program, f"if={source}", f"of={on.full}", *(f"of={target}" for target in targets)]
    with alarm():
        ended = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL)
    right = sum(same(target, source) for target in targets)
    output = ended.stderr.decode(errors="replace")
    named = "reports" if "No space" in output else "does not report"
    print(f"{program}, one full target of four, the end of its output:")
    print("   ", output.strip().replace("\r", "\n").replace("\n", "\n    ")[-600:])
    figure = f"{right} of {len(targets)} good ones right, exit code {ended.returncode}, {named} what failed"
    return [info(f"beside it: {program}, one of four full", figure)]


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="256M", ring=None)
    if not (BLKIO / LIMIT).exists():
        sys.exit("copy_failures needs the blkio cgroup (version 1), which makes a target slow")
    rows = []
    with folder() as ram, place(ram, chosen.size) as on:
        source = write_pattern(ram / "source", chosen.size)
        for _ in range(chosen.rounds):
            for name, pace, part, on_time in SCENARIOS:
                flags = ["--pace", pace, "--ring", str(chosen.size // part)]
                rows += among_bad_ones(name, chosen, source, on, flags, on_time=on_time)
            rows += full_in_the_middle(chosen, source, on)
        for program in OTHERS:
            rows += other(program, source, on)
    finish("a full, a slow and a killed target beside two good ones", rows)


if __name__ == "__main__":
    main()
