"""Another computer looks on while one copies: what a crowd can do to a copy, and what one who looks costs it.

First 500 clients of the monitor service during a copy from a slow source: some as browsers do, some that take
nothing, say nothing, have another token, call the computer by another name, or ask for files of it. None but
those who may is shown anything, the service's sockets are bounded, and the copy is right and in time.

Then copies in memory, in turn with nobody who looks and with one browser and one Prometheus (1 Hz). Many in
turn, for the difference is small beside what a copy's time varies by itself.
"""

import contextlib
import functools
import statistics
import time
from pathlib import Path

import attrs

from contrib.bench.crowd import Answers
from contrib.bench.crowd import crowd as crowd_of
from fanoutfs.units import MIB
from tests.rig.harness import Options, Row, all_of, at_most, finish, options, wait_for_quiet
from tests.rig.images import write_pattern
from tests.rig.measured_computers import SERVICE, Computers, computers, ends, shown_mount
from tests.rig.measured_copies import Copy, same, written_before
from tests.rig.mounts import Mount
from tests.rig.ram import folder, need_memory

CROWD = 500
CROWDS = 3  # rounds
KINDS = ("events", "slow", "silent", "wrong", "stranger", "tricks")
ALLOWED = {"wrong": {401}, "stranger": {421}, "tricks": {404}, "silent": set[int]()}
"""What the bad ones may be answered, besides not at all, and that there is no room."""
NO_ROOM = {0, 503}
MOST_SOCKETS = 150
RATE = 64 * MIB
COST = 0.03


def crowd(on: Computers, count: int, *kinds: str) -> contextlib.AbstractContextManager[Answers]:
    """Run clients on the second computer."""
    return crowd_of(on.first.name, SERVICE, count, *kinds, token_file=on.token, on=on.hosts[1].on())


def held(mount: Mount) -> int:
    """Count the descriptors of the daemon that are sockets."""
    found = 0
    for link in Path(f"/proc/{mount.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found += str(link.readlink()).startswith("socket:")
    return found


def copied(on: Computers, mount: Mount, target: Path, *words: str) -> Copy:
    """Begin a copy on the first computer."""
    return on.copy(on.first, str(mount.point), [target], *words)


@attrs.frozen
class Crowded:
    """What came of a copy with a crowd."""

    seconds: float
    right: bool
    most: int
    """Sockets of the daemon at once."""
    answers: Answers


def crowded(chosen: Options, source: Path, target: Path, count: int) -> Crowded:
    """Copy a slow source with so many clients."""
    written_before(target, chosen.size)
    with computers(chosen, 2) as on, shown_mount(on, source, chosen.ring, "--read-rate", str(RATE)) as mount:
        most = 0

        def look() -> None:
            nonlocal most
            most = max(most, held(mount))

        # A crowd of which most find no room is begun when the copy has: none of it waits for the others.
        copy = copied(on, mount, target, "--verify")
        with crowd(on, count, *KINDS) as answers:
            (ended,) = ends([copy], look)
        if copy.wait():
            print(f"a copy failed: {copy.said()}")
        right = copy.wait() == 0 and same(target, source)
        return Crowded(ended - copy.start, right, most, answers)


def refused(answers: Answers) -> bool:
    """Say whether the bad ones were shown nothing."""
    return all(
        set(map(int, found)) <= ALLOWED[kind] | NO_ROOM for kind, found in answers.items() if kind in ALLOWED
    )


def crowds(chosen: Options, source: Path, target: Path) -> list[Row]:
    """Measure what a crowd does to a copy."""
    alone: list[Crowded] = []
    many: list[Crowded] = []
    for _ in range(CROWDS):
        alone.append(crowded(chosen, source, target, 0))
        many.append(crowded(chosen, source, target, CROWD))
    for run in many:
        print(f"  answers to {CROWD} clients: {run.answers}")
    usual = statistics.median(run.seconds for run in alone)
    idle = max(run.most for run in alone)
    return [
        all_of(f"{CROWD} clients: copies that are right", [run.right for run in many]),
        all_of("    shown nothing to who may see nothing", [refused(run.answers) for run in many]),
        at_most("    most sockets of the daemon at once", [run.most for run in many], MOST_SOCKETS + idle),
        at_most("    the copy's time to that without them", [run.seconds / usual for run in many], 1 + COST),
    ]


def seconds_of_one(on: Computers, mount: Mount, source: Path, target: Path, count: int) -> float:
    """Copy in memory with so many of two who look."""
    size = source.stat().st_size
    written_before(target, size)
    wait_for_quiet(3)
    with crowd(on, count, "events", "metrics"):
        if count:
            time.sleep(0.3)
        copy = copied(on, mount, target)
        (ended,) = ends([copy])
    if copy.wait() or not same(target, source):
        raise RuntimeError(f"a copy is wrong: {copy.said()}")
    return ended - copy.start


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="1G", rounds=20)
    need_memory(4 * chosen.size)
    with folder() as ram:
        source, target = write_pattern(ram / "source", chosen.size), ram / "target"
        rows = crowds(chosen, source, target)
        pairs: list[tuple[float, float]] = []
        with computers(chosen, 2, 3600) as on, shown_mount(on, source, chosen.ring) as mount:
            once = functools.partial(seconds_of_one, on, mount, source, target)
            once(0)
            for number in range(chosen.rounds):
                first, second = (0, 2) if number % 2 else (2, 0)
                found = {first: once(first), second: once(second)}
                pairs.append((found[0], found[2]))
    rows += [
        at_most("seconds of a copy that nobody watches", [alone for alone, _ in pairs], float("inf")),
        at_most("seconds of one that is watched", [watched for _, watched in pairs], float("inf")),
        at_most(
            f"watched to unwatched, in {len(pairs)} pairs",
            [watched / alone for alone, watched in pairs],
            1 + COST,
        ),
    ]
    finish(f"a copy of {chosen.size >> 20} MiB that another computer watches", rows)


if __name__ == "__main__":
    main()
