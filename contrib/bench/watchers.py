"""A different host watches a copy: what a crowd of clients does to the copy, and what one client costs it.

First 500 clients of the monitor service during a copy from a slow source: some behave as browsers do, some do
not read, send nothing, have a wrong token, call the host by a different name, or ask for its files. Only
clients with permission see anything, the service's sockets are bounded, and the copy is right and in time.

Then copies in memory, in turn without a client and with one browser and one Prometheus (1 Hz): many of them,
because the difference is small beside the variation of a copy's time.
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
from tests.rig.harness import Options, Row, all_of, at_most, finish, measured, options, wait_for_quiet
from tests.rig.measured_computers import Computers, computers, shown_mount
from tests.rig.measured_copies import checked, ends, same, zeroed
from tests.rig.mounts import Mount
from tests.rig.ram import source_and_targets
from tests.rig.services import SERVICE

CROWD = 500
CROWDS = 3  # rounds
KINDS = ("events", "slow", "silent", "wrong", "stranger", "tricks")
ALLOWED = {"wrong": {401}, "stranger": {421}, "tricks": {404}, "silent": set[int]()}
"""Replies that bad clients may get, besides none at all and `NO_ROOM`."""
NO_ROOM = {0, 503}
MOST_SOCKETS = 150
RATE = 64 * MIB
COST = 0.03


def crowd(on: Computers, count: int, *kinds: str) -> contextlib.AbstractContextManager[Answers]:
    """Run clients on the second host."""
    return crowd_of(on.first.name, SERVICE, count, *kinds, token_file=on.token, on=on.hosts[1].on())


def sockets(mount: Mount) -> int:
    """Return the number of the daemon's sockets."""
    found = 0
    for link in Path(f"/proc/{mount.pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found += str(link.readlink()).startswith("socket:")
    return found


@attrs.frozen
class Crowded:
    """The outcome of a copy beside a crowd."""

    seconds: float
    right: bool
    most: int
    """Sockets of the daemon at the same time."""
    answers: Answers


def crowded(chosen: Options, source: Path, target: Path, count: int) -> Crowded:
    """Copy a slow source beside ``count`` clients."""
    zeroed(target, chosen.size)
    with computers(chosen, 2) as on, shown_mount(on, source, chosen.ring, "--read-rate", str(RATE)) as mount:
        most = 0

        def look() -> None:
            nonlocal most
            most = max(most, sockets(mount))

        # The copy starts before the crowd, most of which finds no room: no client waits for the others.
        copy = on.copy(on.first, str(mount.point), target, "--verify")
        with crowd(on, count, *KINDS) as answers:
            (ended,) = ends([copy], look)
        right = copy.succeeded() and same(target, source)
        return Crowded(ended - copy.start, right, most, answers)


def refused(answers: Answers) -> bool:
    """Return whether the bad clients saw nothing."""
    return all(
        set(map(int, found)) <= ALLOWED[kind] | NO_ROOM for kind, found in answers.items() if kind in ALLOWED
    )


def crowds(chosen: Options, source: Path, target: Path) -> list[Row]:
    """Measure what a crowd does to a copy."""
    pairs = [[crowded(chosen, source, target, count) for count in (0, CROWD)] for _ in range(CROWDS)]
    alone, many = zip(*pairs, strict=True)
    for run in many:
        print(f"  replies to {CROWD} clients: {run.answers}")
    usual = statistics.median(run.seconds for run in alone)
    idle = max(run.most for run in alone)
    return [
        all_of(f"{CROWD} clients: copies that are right", [run.right for run in many]),
        all_of("    clients without permission saw nothing", [refused(run.answers) for run in many]),
        at_most("    most sockets of the daemon at once", [run.most for run in many], MOST_SOCKETS + idle),
        at_most("    the copy's time to that without them", [run.seconds / usual for run in many], 1 + COST),
    ]


def seconds_of_one(on: Computers, mount: Mount, source: Path, target: Path, count: int) -> float:
    """Copy in memory beside ``count`` of the two clients; return the copy's seconds."""

    def run() -> float:
        wait_for_quiet(3)
        with crowd(on, count, "events", "metrics"):
            if count:
                time.sleep(0.3)
            return on.copy(on.first, str(mount.point), target).seconds()

    return checked(source, [target], run)


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="1G", rounds=20)
    with source_and_targets(chosen.size, 1, images=4) as (source, (target,)):
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
        measured("seconds of a copy that no client watches", [alone for alone, _ in pairs]),
        measured("seconds of one that is watched", [watched for _, watched in pairs]),
        at_most(
            f"watched to unwatched, in {len(pairs)} pairs",
            [watched / alone for alone, watched in pairs],
            1 + COST,
        ),
    ]
    finish(f"a copy of {chosen.size >> 20} MiB that a different host watches", rows)


if __name__ == "__main__":
    main()
