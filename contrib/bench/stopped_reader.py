"""One of four dd of a slow source is stopped and continues half a minute later; in a second run it is killed.

Stopped: the other three wait no longer than its patience, and finish; the stopped one is right in the end.
Killed while the others wait for it: they continue at once. (For further faults see faults.py.)
"""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from tests.rig.commands import wait_until
from tests.rig.harness import Options, all_of, at_most, finish, options
from tests.rig.mounts import Mount
from tests.rig.ram import image
from tests.rig.slow_mount import SlowMount, slow_mount
from tests.rig.timed_readers import DD, Report

OTHERS = 3
AT = 0.25  # of the image: the producer's position when the reader is stopped
STOPPED = 30.0  # seconds
PATIENCE = 10.0  # seconds; fanoutfs's default
SLACK = 1.0  # seconds in addition
WAIT = 2.0  # seconds that the others have waited when the reader is killed
AT_ONCE = 0.1  # seconds after its death until they continue


@contextlib.contextmanager
def one_stopped(chosen: Options, file: Path) -> Iterator[tuple[SlowMount, int]]:
    """Run four dd and stop the last one in the list; yield its process id, too."""
    with slow_mount(chosen, file) as on:
        for _ in range(OTHERS + 1):
            on.readers.ready(on.mount.image, *DD)
        on.readers.go()
        on.wait_for_head(AT)
        victim = on.readers.all[OTHERS].pid
        os.kill(victim, signal.SIGSTOP)
        yield on, victim


def all_wait(mount: Mount) -> bool:
    """Return whether all the others wait for a reader, not for the source."""
    return sum(isinstance(reader["waiting"], int) for reader in mount.status()["readers"]) == OTHERS


def stopped(chosen: Options, file: Path) -> list[Report]:
    """Stop a reader and let it continue; return the reports of all, its own last."""
    with one_stopped(chosen, file) as (on, victim):
        time.sleep(STOPPED)
        os.kill(victim, signal.SIGCONT)
        return on.readers.wait()


def killed(chosen: Options, file: Path) -> tuple[list[Report], float]:
    """Kill a reader for which the others wait; return their reports, and when it was killed."""
    with one_stopped(chosen, file) as (on, victim):
        wait_until(lambda: all_wait(on.mount), "the others wait for the stopped one")
        time.sleep(WAIT)
        moment = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        return on.readers.wait()[:OTHERS], moment


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="512M")
    with image(chosen.size) as file:
        stops = [stopped(chosen, file) for _ in range(chosen.rounds)]
        kills = [killed(chosen, file) for _ in range(chosen.rounds)]
    held = [max(report.longest_gap() for report in reports[:OTHERS]) for reports in stops]
    ended = [max(report.seconds for report in reports[:OTHERS]) for reports in stops]
    waited = [min(report.longest_gap() for report in reports) for reports, _ in kills]
    on_again = [max(report.next_after(moment) for report in reports) for reports, moment in kills]
    rows = [
        all_of("stopped: right, it and the others", [report.right for one in stops for report in one]),
        at_most("stopped: the others' longest time without a byte", held, PATIENCE + SLACK, " s"),
        at_most("stopped: until the last of the others had all", ended, STOPPED, " s"),
        all_of("killed: the others right", [report.right for one, _ in kills for report in one]),
        all_of("killed: they had waited for it", [least >= WAIT for least in waited]),
        at_most("killed: until each of the others has its next byte", on_again, AT_ONCE, " s"),
    ]
    finish(f"one of {OTHERS + 1} dd of a slow source is stopped or killed, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
