"""A copy is killed (SIGKILL of the command) at many random moments, then resumed: what it costs, and whom.

Every time the target is filled with bytes that are not the source's, copied to, and the copy killed: in a
tenth of the rounds within the first 100 ms, in two tenths around its end, otherwise anywhere from its start
to its end. What is missing then is counted, block by block, and --resume must write just that: the kernel
counts, for the target is a loop device. Beyond what is missing it may write one block, for zeros stand in
block 0 while it is under way.

All of that is on one mount, from which somebody reads on meanwhile (endless.py): for it nothing may stand
still. In the end the mount must hold nothing of anybody. A second part has no mount: the copy that is
killed is the one that started the producer, and a second copy goes on.

The source gives 100 MiB/s (--read-rate), so 64 MiB take 0.64 s, and a kill meets a copy that is under way.
"""

import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from contrib.bench.faults import leftovers
from fanoutfs.units import MIB
from tests.rig.harness import Options, Row, all_of, at_most, finish, options
from tests.rig.images import write_pattern
from tests.rig.limited import RATE
from tests.rig.loops import attached, bytes_written
from tests.rig.measured_copies import Watch, copies, same, written_before
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount
from tests.rig.ram import folder
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
    """What came of one round."""

    moment: float
    """Seconds after the start."""
    missing: int
    """Blocks that were not the source's when it was dead."""
    whole_too_early: bool
    """Block 0 was there, and others not."""
    code: int
    """The exit code of --resume."""
    written: int
    """Bytes that the kernel counted meanwhile."""
    right: bool

    @property
    def beyond(self) -> float:
        """Blocks that were written and not missing."""
        return self.written / MIB - self.missing


@attrs.define(eq=False)
class Other:
    """The one that reads on."""

    process: subprocess.Popen[str]

    def gaps(self) -> list[float]:
        """End it; gives its longest times without a byte, in seconds."""
        written, _ = self.process.communicate("\n")
        found: list[float] = json.loads(written)["gaps"]
        return found


@contextlib.contextmanager
def reading_on(image: Path) -> Iterator[Other]:
    """Have somebody read an image again and again."""
    command: list[str | Path] = [sys.executable, "-I", "-S", ENDLESS, image]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield Other(process)
    finally:
        process.kill()
        process.wait()


def blocks_missing(backing: Path, source: Path) -> list[int]:
    """Give the numbers of the blocks that are not the source's."""
    found = []
    with backing.open("rb") as mine, source.open("rb") as theirs:
        number = 0
        while block := theirs.read(MIB):
            if mine.read(MIB) != block:
                found.append(number)
            number += 1
    return found


def spoil(backing: Path, size: int) -> None:
    """Fill a target with what is not the source's."""
    with backing.open("r+b") as file:
        for offset in range(0, size, MIB):
            file.write(memoryview(OTHER)[: size - offset])


def wait_until_free(device: Path) -> None:
    """Wait until nobody has a disk for himself: a worker dies a moment after its command."""
    while True:
        try:
            os.close(os.open(device, os.O_RDWR | os.O_EXCL))
        except OSError:
            time.sleep(POLL)
        else:
            return


def seconds_of_one(chosen: Options, mount: Mount, device: Path) -> float:
    """Give how long a copy takes that nobody kills."""
    with copies(chosen.fanoutfs, mount.point) as made:
        copy = made.start([device])
        if copy.wait():
            raise RuntimeError(f"a copy that nobody killed failed: {copy.said()}")
        return time.monotonic() - copy.start


def moments(rounds: int, seconds: float) -> list[float]:
    """Choose when to kill, for copies of so many seconds; the same each time but for these."""
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
        code = resumed.wait()
        if code:
            print(f"killed after {moment:.3f} s, {len(missing)} blocks missing: {resumed.said()}")
        written = bytes_written(device) - before
    early = bool(missing) and missing[0] != 0
    return Killed(moment, len(missing), early, code, written, same(backing, source))


def starter_killed(
    chosen: Options, source: Path, targets: list[Path], chance: random.Random
) -> tuple[bool, float]:
    """Kill the copy that started the producer while another goes on.

    Says whether that one is right, and gives its longest time without progress in seconds.
    """
    for target in targets:
        written_before(target, chosen.size)
    words = ("--read-rate", str(RATE), "--ring", chosen.ring)
    watch = Watch.of(source)
    with copies(chosen.fanoutfs, source) as made:
        first = made.start(targets[:1], *words)
        while not watch.targets:
            watch.look()
            time.sleep(POLL)
        second = made.start(targets[1:], *words)
        name = str(targets[1])
        while name not in watch.targets and second.running:
            watch.look()
            time.sleep(POLL)
        dies = time.monotonic() + chance.uniform(0, 0.5 * chosen.size / RATE)
        before, left, longest = time.monotonic(), 0, 0.0
        while second.running:
            watch.look()
            now, seen = time.monotonic(), watch.targets[name]
            if seen.ended is not None or seen.left != left:
                longest = max(longest, now - before)
                before, left = now, seen.left
            if now > dies and first.running:
                first.kill()
            time.sleep(POLL)
        return second.wait() == 0 and same(targets[1], source), longest


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="64M", rounds=200, ring="16M")
    with folder() as ram, contextlib.ExitStack() as stack:
        source = write_pattern(ram / "source", chosen.size)
        backing = written_before(ram / "backing", chosen.size)
        device = stack.enter_context(attached(backing))
        rate = ("--read-rate", str(RATE))
        with fanout_mount(chosen.fanoutfs, source, chosen.ring, *rate) as mount:
            with reading_on(mount.image) as other:
                usual = statistics.median(seconds_of_one(chosen, mount, device) for _ in range(CALIBRATE))
                calm = other.gaps()[0]
            with reading_on(mount.image) as other:
                found = [
                    killed(chosen, mount, source, device, backing, moment)
                    for moment in moments(chosen.rounds, usual)
                ]
                gaps = other.gaps()
            pid = mount.status()["pid"]
            left = leftovers(mount)
        chance = random.Random(SEED)
        targets = [ram / "first", ram / "second"]
        starters = [
            starter_killed(chosen, source, targets, chance) for _ in range(max(1, chosen.rounds // 10))
        ]
    blocks = -(-chosen.size // MIB)
    nothing, part = (
        sum(one.missing == blocks for one in found),
        sum(0 < one.missing < blocks for one in found),
    )
    rows = [
        Row("a copy that nobody kills: seconds", f"{usual:.2f}", "", holds=True),
        Row(
            "killed with nothing, a part, all on the target",
            f"{nothing}, {part}, {len(found) - nothing - part}",
            "",
            holds=True,
        ),
        all_of("no block 0 where others are missing", [not one.whole_too_early for one in found]),
        all_of("resumed: exit code 0, target equal to source", [one.right and not one.code for one in found]),
        at_most("resumed: most blocks written that were there", [max(one.beyond for one in found)], BEYOND),
        all_of("resumed: what was missing was written", [one.beyond >= 0 for one in found]),
        Row("the producer is the one from the beginning", str(pid == mount.pid), "True", pid == mount.pid),
        at_most("the other reader's longest time without a byte", [gaps[0]], GAP, " s"),
        Row("    with copies, but nobody killed", f"{calm:.3f} s", "", holds=True),
        Row("left in the mount afterwards", left, "nothing", left == "nothing"),
        all_of("who started the producer killed: the other copy is right", [right for right, _ in starters]),
        at_most("    its longest time without progress", [max(gap for _, gap in starters)], GAP, " s"),
    ]  # fmt: skip
    finish(f"{chosen.rounds} copies killed and resumed, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
