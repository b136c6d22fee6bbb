"""A target that is full, a slow one and one whose process is killed, beside two good ones: who suffers.

The full target is a file in a tmpfs of a quarter of the image. The slow one is a loop device to which a
cgroup lets 10 MB/s be written. The third is killed (SIGKILL of its worker) when it has a quarter. The
source gives 100 MiB/s (--read-rate), so that "on time" can be told: next to a run of the two good ones
alone. What has to hold:

- with --pace free and a ring of a quarter of the image, and with one that holds the image: the good ones
  are right and on time, the bad ones named, and the exit code is 1;
- the slow one is not a failed one: it is right in the end;
- --pace strict with a ring of a quarter: by the rules all go at the pace of the slow one, at most a ring
  ahead of it.

The full target fails before the first byte, as files are preallocated; with --sparse it does in the midst.
Beside it is what dc3dd and dcfldd (Debian's packages) do with one full target of four.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from tests.rig.harness import Options, Row, all_of, finish, options, wait_for_quiet
from tests.rig.images import write_pattern
from tests.rig.limited import BLKIO, RATE, control_group
from tests.rig.loops import attached, number
from tests.rig.measured_copies import Copies, Watch, copies, same, written_before
from tests.rig.ram import folder
from tests.rig.ready_readers import alarm
from tests.rig.timed_readers import POLL

SLOW = 10_000_000  # bytes per second
LIMIT = "blkio.throttle.write_bps_device"
ON_TIME = 1.1
GOOD = ("good-1", "good-2")
OTHERS = ("dc3dd", "dcfldd")


@attrs.frozen
class Place:
    """Where targets are."""

    folder: Path
    full: Path
    """In a file system too small for it."""
    slow: Path
    """A device, slow for the processes in ``group``."""
    backing: Path
    """The bytes of that."""
    group: Path
    size: int

    def good(self) -> list[Path]:
        """Give the good targets, written before."""
        return [written_before(self.folder / name, self.size) for name in GOOD]

    def clean(self) -> None:
        """Take away what was left in the small file system."""
        self.full.unlink(missing_ok=True)


@contextlib.contextmanager
def place(ram: Path, size: int) -> Iterator[Place]:
    """Make it."""
    small, backing = ram / "small", ram / "backing"
    small.mkdir()
    written_before(backing, size)
    with contextlib.ExitStack() as stack:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size // 4}", "none", small], check=True)
        stack.callback(lambda: subprocess.run(["umount", small], check=True))
        slow = stack.enter_context(attached(backing))
        group = stack.enter_context(control_group(BLKIO, "slow", LIMIT, f"{number(slow)} {SLOW}"))
        yield Place(ram, small / "full", slow, backing, group, size)


@attrs.frozen
class Run:
    """What came of one command."""

    code: int
    said: str
    seconds: dict[str, float]
    """From the command's start until each target had its last byte, or was gone."""

    def good(self, targets: Sequence[Path]) -> float:
        """Give the seconds of the last of these."""
        return max(self.seconds.get(str(target), float("inf")) for target in targets)

    def names(self, target: Path) -> bool:
        """Say whether a line names a target as failed."""
        return any(line.startswith(f"{target}: FAILED") for line in self.said.splitlines())


def copied(chosen: Options, source: Path, on: Place, targets: Sequence[Path], words: Sequence[str]) -> Run:
    """Copy, and kill whoever writes to a target with the name ``killed`` when it has a quarter."""
    wait_for_quiet()
    watch, killed = Watch.of(source), False
    with copies(chosen.fanoutfs, source) as made:
        copy = made.start(targets, "--read-rate", str(RATE), *words, groups=[on.group])
        while copy.running:
            watch.look()
            if not killed:
                killed = kill_one(watch, made, on.size)
            time.sleep(POLL)
        watch.look()
        ends = {name: (seen.ended or 0.0) - copy.start for name, seen in watch.targets.items()}
        return Run(copy.wait(), copy.said(), ends)


def kill_one(watch: Watch, made: Copies, size: int) -> bool:
    """Kill the worker of ``killed`` if it has a quarter; says whether it did."""
    for target, seen in watch.targets.items():
        if Path(target).name == "killed" and seen.ended is None and seen.left <= size * 3 // 4:
            session = os.getsid(seen.pid)
            assert session == made.started[0].process.pid, "that is no worker of ours"
            os.kill(seen.pid, signal.SIGKILL)
            return True
    return False


def among_bad_ones(
    name: str, chosen: Options, source: Path, on: Place, words: Sequence[str], *, on_time: bool
) -> list[Row]:
    """Copy to the good ones alone, then with the bad ones; ``on_time``: whether that must not show."""
    good = on.good()
    alone = copied(chosen, source, on, good, words)
    good = on.good()
    on.clean()
    written_before(on.backing, on.size)
    killed = written_before(on.folder / "killed", on.size)
    run = copied(chosen, source, on, [on.full, on.slow, killed, *good], words)
    ratio = run.good(good) / alone.good(good)
    said = [line for line in run.said.splitlines() if "FAILED" in line]
    print(f"{name}:", *said, sep="\n    ")
    limit = f"at most {ON_TIME}" if on_time else ""
    return [
        all_of(f"{name}: good ones that equal the source", [same(target, source) for target in good]),
        all_of(f"{name}: bad ones that are named", [run.names(on.full), run.names(killed)]),
        Row(f"{name}: exit code", f"{run.code}", "1", run.code == 1),
        Row(
            f"{name}: the good ones' time to that without bad ones ({alone.good(good):.2f} s)",
            f"{ratio:.3f}",
            limit,
            ratio <= ON_TIME or not on_time,
        ),
        all_of(f"{name}: the slow one equals the source", [same(on.backing, source)]),
        Row(
            f"{name}: seconds until the slow one had it",
            f"{run.seconds.get(str(on.slow), 0):.1f}",
            "",
            holds=True,
        ),
    ]


def full_in_the_midst(chosen: Options, source: Path, on: Place) -> list[Row]:
    """Fill a target while it is copied to."""
    on.clean()
    good = on.good()
    run = copied(chosen, source, on, [on.full, *good], ["--sparse"])
    name = "full in the midst (--sparse)"
    named = any(line.startswith(f"{on.full}: FAILED") and "at byte" in line for line in run.said.splitlines())
    return [
        all_of(f"{name}: good ones that equal the source", [same(target, source) for target in good]),
        all_of(f"{name}: the byte is named", [named]),
        Row(f"{name}: exit code", f"{run.code}", "1", run.code == 1),
    ]


def other(program: str, source: Path, on: Place) -> list[Row]:
    """Have another program copy to a full target and three good ones."""
    if shutil.which(program) is None:
        return [Row(f"beside it: {program}", "is not here (apt install it)", "", holds=True)]
    on.clean()
    targets = [*on.good(), written_before(on.folder / "killed", on.size)]
    command = [program, f"if={source}", f"of={on.full}", *(f"of={target}" for target in targets)]
    with alarm():
        ended = subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL)
    right = sum(same(target, source) for target in targets)
    said = ended.stderr.decode(errors="replace")
    named = "says" if "No space" in said else "does not say"
    print(f"{program}, one full target of four, of what it says the end:")
    print("   ", said.strip().replace("\r", "\n").replace("\n", "\n    ")[-600:])
    figure = f"{right} of {len(targets)} good ones right, exit code {ended.returncode}, {named} what failed"
    return [Row(f"beside it: {program}, one of four full", figure, "", holds=True)]


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="256M", ring=None)
    if not (BLKIO / LIMIT).exists():
        sys.exit("copy_failures needs the blkio cgroup (version 1), which makes a target slow")
    quarter = ("--ring", str(chosen.size // 4))
    rows = []
    with folder() as ram, place(ram, chosen.size) as on:
        source = write_pattern(ram / "source", chosen.size)
        for _ in range(chosen.rounds):
            rows += among_bad_ones("free", chosen, source, on, ["--pace", "free", *quarter], on_time=True)
            whole = ["--ring", str(chosen.size)]
            rows += among_bad_ones("strict, ring as the image", chosen, source, on, whole, on_time=True)
            rows += among_bad_ones("strict, ring a quarter", chosen, source, on, quarter, on_time=False)
            rows += full_in_the_midst(chosen, source, on)
        for program in OTHERS:
            rows += other(program, source, on)
    finish("a full, a slow and a killed target beside two good ones", rows)


if __name__ == "__main__":
    main()
