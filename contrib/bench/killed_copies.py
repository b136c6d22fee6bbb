"""A copy is killed (SIGKILL of the command) at many random moments, then resumed: what it costs.

In each round the target is filled with bytes that are not the source's, copied to, and the copy killed: in a
tenth of the rounds within the first 100 ms, in two tenths around its end, otherwise at any moment. The bench
then counts the missing blocks, and --resume must write exactly these: the kernel counts the bytes, because
the target is a loop device. It may write one block more, because block 0 holds zeros during a copy.

All rounds use one mount, which a different reader reads without pause (endless.py): it must never stall. In
the end the mount must hold nothing for any reader. A second part has no mount: it kills the copy that started
the producer, and a second copy must go on.

The source gives 100 MiB/s (--read-rate), so 64 MiB take 0.64 s, and a kill meets a running copy.
"""

import contextlib
import json
import math
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import attrs

from contrib.bench.faults import leftovers
from fanoutfs.units import MIB
from tests.rig.copy_watch import Watch
from tests.rig.harness import Options, all_of, at_most, exactly, finish, info, options
from tests.rig.limited import RATE
from tests.rig.loops import attached, bytes_written
from tests.rig.measured_copies import copies, same, zeroed
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount
from tests.rig.ram import source_and_targets
from tests.rig.timed_readers import POLL

SEED = 20260101
FIRST, LAST = 0.1, 0.1  # of the rounds; LAST once more around the end
MOMENT = 0.1  # seconds
BEYOND = 1  # blocks
GAP = 1.0  # seconds
OTHER = b"\xa5" * MIB  # no block of a pattern image
ENDLESS = Path(__file__).parent / "endless.py"
CALIBRATE = 5


@attrs.frozen
class Killed:
    """The outcome of one round."""

    missing: int
    """Blocks that were not the source's after the kill."""
    whole_too_early: bool
    """Block 0 was written, and further blocks were missing."""
    written: int
    """Bytes that --resume wrote, by the kernel's count."""
    right: bool
    """Whether --resume succeeded, and the target equals the source."""

    @property
    def beyond(self) -> float:
        """Blocks that were written though they were not missing."""
        return self.written / MIB - self.missing


@contextlib.contextmanager
def endless_reader(image: Path) -> Iterator[Callable[[], float]]:
    """Read an image again and again; the function stops that, and returns the longest time without a byte."""
    command: list[str | Path] = [sys.executable, "-I", "-S", ENDLESS, image]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield lambda: float(json.loads(process.communicate("\n")[0])["gaps"][0])
    finally:
        process.kill()
        process.wait()


def blocks_missing(backing: Path, source: Path) -> list[int]:
    """Return the numbers of the blocks that are not the source's."""
    with backing.open("rb") as mine, source.open("rb") as theirs:
        blocks = enumerate(iter(partial(theirs.read, MIB), b""))
        return [number for number, block in blocks if mine.read(MIB) != block]


def spoil(backing: Path, size: int) -> None:
    """Fill a target with bytes that are not the source's."""
    with backing.open("r+b") as file:
        for offset in range(0, size, MIB):
            file.write(memoryview(OTHER)[: size - offset])


def wait_until_free(device: Path) -> None:
    """Wait until no process has a disk open exclusively: a worker dies a moment after its command."""
    while True:
        try:
            os.close(os.open(device, os.O_RDWR | os.O_EXCL))
        except OSError:
            time.sleep(POLL)
        else:
            return


def seconds_of_one(chosen: Options, mount: Mount, device: Path) -> float:
    """Return how long a copy takes that is not killed."""
    with copies(chosen.fanoutfs, mount.point) as made:
        return made.start([device]).seconds()


def moments(rounds: int, seconds: float) -> list[float]:
    """Choose when to kill copies that take these seconds; the random numbers are the same in each run."""
    chance = random.Random(SEED)
    first, last = round(rounds * FIRST), round(rounds * LAST)
    found = [chance.uniform(0, MOMENT) for _ in range(first)]
    found += [chance.uniform(seconds - MOMENT, seconds) for _ in range(last)]
    found += [chance.uniform(seconds, seconds + MOMENT) for _ in range(last)]
    found += [chance.uniform(0, seconds) for _ in range(rounds - len(found))]
    chance.shuffle(found)
    return found


def killed(chosen: Options, mount: Mount, source: Path, device: Path, backing: Path, moment: float) -> Killed:
    """Copy, kill and resume."""
    spoil(backing, chosen.size)
    with copies(chosen.fanoutfs, mount.point) as made:
        copy = made.start([device])
        time.sleep(moment)
        copy.kill()
        wait_until_free(device)
        missing = blocks_missing(backing, source)
        before = bytes_written(device)
        resumed = made.start([device], "--resume")
        if not (resumes := resumed.succeeded()):
            print(f"    it was killed after {moment:.3f} s, with {len(missing)} blocks missing")
        written = bytes_written(device) - before
    early = bool(missing) and missing[0] != 0
    return Killed(len(missing), early, written, resumes and same(backing, source))


def starter_killed(
    chosen: Options, source: Path, targets: list[Path], chance: random.Random
) -> tuple[bool, float]:
    """Kill the copy that started the producer beside a second copy.

    Return whether the second is right, and its longest time without progress in seconds.
    """
    for target in targets:
        zeroed(target, chosen.size)
    flags = ("--read-rate", str(RATE), "--ring", chosen.ring)
    watch = Watch(source)
    with copies(chosen.fanoutfs, source) as made:
        first = made.start(targets[:1], *flags)
        watch.follow(lambda: first.running and not watch.targets)
        second = made.start(targets[1:], *flags)
        name = str(targets[1])
        watch.follow(lambda: name not in watch.targets and second.running)
        dies = time.monotonic() + chance.uniform(0, 0.5 * chosen.size / RATE)
        before, left, longest = time.monotonic(), 0, 0.0
        while second.running:
            watch.look()
            now, seen = time.monotonic(), watch.targets[name]
            if seen.ended < math.inf or seen.left != left:
                longest = max(longest, now - before)
                before, left = now, seen.left
            if now > dies and first.running:
                first.kill()
            time.sleep(POLL)
        return second.wait() == 0 and same(targets[1], source), longest


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="64M", rounds=200, ring="16M")
    with source_and_targets(chosen.size, 3) as (source, (backing, *targets)):
        with (
            attached(zeroed(backing, chosen.size)) as device,
            fanout_mount(chosen.fanoutfs, source, chosen.ring, "--read-rate", str(RATE)) as mount,
        ):
            with endless_reader(mount.image) as stop:
                usual = statistics.median(seconds_of_one(chosen, mount, device) for _ in range(CALIBRATE))
                calm = stop()
            with endless_reader(mount.image) as stop:
                found = [
                    killed(chosen, mount, source, device, backing, moment)
                    for moment in moments(chosen.rounds, usual)
                ]
                gap = stop()
            pid = mount.status()["pid"]
            left = leftovers(mount)
        chance = random.Random(SEED)
        starters = [
            starter_killed(chosen, source, targets, chance) for _ in range(max(1, chosen.rounds // 10))
        ]
    blocks = -(-chosen.size // MIB)
    nothing = sum(one.missing == blocks for one in found)
    part = sum(0 < one.missing < blocks for one in found)
    rows = [
        info("seconds of a copy that is not killed", f"{usual:.2f}"),
        info(
            "killed with nothing, a part, all on the target",
            f"{nothing}, {part}, {len(found) - nothing - part}",
        ),
        all_of("no block 0 while other blocks are missing", [not one.whole_too_early for one in found]),
        all_of("resumed: exit code 0, target equal to source", [one.right for one in found]),
        at_most(
            "resumed: blocks written though not missing, at most", [max(one.beyond for one in found)], BEYOND
        ),
        all_of("resumed: all missing blocks were written", [one.beyond >= 0 for one in found]),
        exactly("the producer's process, still the first", pid, mount.pid),
        at_most("the other reader's longest time without a byte", [gap], GAP, " s"),
        info("    with copies, but none killed", f"{calm:.3f} s"),
        exactly("left in the mount afterwards", left, "nothing"),
        all_of(
            "the copy that started the producer killed: the second is right", [right for right, _ in starters]
        ),
        at_most("    its longest time without progress", [max(gap for _, gap in starters)], GAP, " s"),
    ]
    finish(f"{chosen.rounds} copies killed and resumed, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
