"""One of four dd of a slow source is stopped, and goes on half a minute later; another time it is killed.

Stopped: the other three are held for no longer than its patience, and finish; it finishes right when it is
woken. Killed while the others wait for it: they go on at once. (What else may befall readers: faults.py.)
"""

import os
import signal
import time
from pathlib import Path

from tests.rig.crew import DD, Crew, Reader, Report, stage, wait_until
from tests.rig.harness import Options, all_of, at_most, finish, options, wait_for_quiet
from tests.rig.images import write_pattern
from tests.rig.mounts import Mount
from tests.rig.ram import folder

OTHERS = 3
AT = 0.25  # of the image, where the head is when it is stopped
STOPPED = 30.0  # seconds
PATIENCE = 10.0  # seconds; fanoutfs's default
SLACK = 1.0  # seconds beyond it
WAIT = 2.0  # seconds for which the others have waited when it is killed
AT_ONCE = 0.1  # seconds after its death in which they go on


def begin(made: Crew, mount: Mount) -> Reader:
    """Start four dd; gives the one that is to suffer."""
    for _ in range(OTHERS + 1):
        made.ready(mount.image, *DD)
    for reader in made.readers:
        reader.go()
    return made.readers[OTHERS]


def wait_until_held(mount: Mount) -> None:
    """Wait until all the others wait for a reader, not for the source."""
    wait_until(
        lambda: sum(isinstance(reader["waiting"], int) for reader in mount.status()["readers"]) == OTHERS
    )


def stopped(chosen: Options, file: Path) -> list[Report]:
    """Stop one and wake it; gives what came of all, that one last."""
    wait_for_quiet()
    with stage(chosen, file) as on:
        victim = begin(on.crew, on.mount)
        on.wait_for_head(AT)
        os.kill(victim.pid, signal.SIGSTOP)
        time.sleep(STOPPED)
        os.kill(victim.pid, signal.SIGCONT)
        return on.crew.wait()


def killed(chosen: Options, file: Path) -> tuple[list[Report], float]:
    """Stop one and kill it when the others wait for it; gives what came of these, and when it was killed."""
    wait_for_quiet()
    with stage(chosen, file) as on:
        victim = begin(on.crew, on.mount)
        on.wait_for_head(AT)
        os.kill(victim.pid, signal.SIGSTOP)
        wait_until_held(on.mount)
        time.sleep(WAIT)
        moment = time.monotonic()
        os.kill(victim.pid, signal.SIGKILL)
        return on.crew.wait()[:OTHERS], moment


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="512M")
    with folder() as ram:
        file = write_pattern(ram / "source", chosen.size)
        stops = [stopped(chosen, file) for _ in range(chosen.rounds)]
        kills = [killed(chosen, file) for _ in range(chosen.rounds)]
    held = [max(report.longest_gap() for report in reports[:OTHERS]) for reports in stops]
    on_again = [max(report.next_after(moment) for report in reports) for reports, moment in kills]
    waited = [min(report.longest_gap() for report in reports) for reports, _ in kills]
    rows = [
        all_of(
            "stopped: right, it and the others", [report.right for reports in stops for report in reports]
        ),
        at_most("stopped: the others' longest time without a byte", held, PATIENCE + SLACK, " s"),
        at_most(
            "stopped: until the last of the others had all",
            [max(report.seconds for report in reports[:OTHERS]) for reports in stops],
            STOPPED,
            " s",
        ),
        all_of("killed: the others right", [report.right for reports, _ in kills for report in reports]),
        all_of("killed: they had waited for it", [least >= WAIT for least in waited]),
        at_most("killed: until each of the others has its next byte", on_again, AT_ONCE, " s"),
    ]
    finish(f"one of {OTHERS + 1} dd of a slow source is stopped or killed, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
