"""Readers that die, stop or never read: the others finish, and nothing is left of the bad ones in the mount.

Together with four good readers (two direct, two cached) there are

- a dd that is killed after some MiB,
- a dd that is stopped after some MiB, for a minute, and then continues to the end,
- a direct dd that is killed while it waits for the stopped one: it can end only when its read is answered,
- an open handle that is never read.
"""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from fanoutfs.units import MIB
from tests.rig.commands import Argument, Process, end, start, wait_until
from tests.rig.harness import Row, all_of, at_most, finish, options
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount
from tests.rig.ram import image
from tests.rig.ready_readers import alarm, compared, dd, readers, run_together

STOPPED = 60.0  # seconds
PATIENCE = 10.0  # seconds; fanoutfs's default, and so what a stopped reader may cost the others
SLACK = 5.0  # seconds in addition to that and to a run without faults
GONE = 2.0  # seconds that a killed reader may take to end
FIRST = 16 * MIB
"""What a bad reader reads before its fault: less than the ring, so that the good ones are still near."""

GOOD = (("bs=1M", "iflag=direct"), ("bs=1M",)) * 2
NEVER_READS = "import sys; file = open(sys.argv[1], 'rb', 0); print(flush=True); sys.stdin.read()"


@contextlib.contextmanager
def bad_reader(*command: Argument) -> Iterator[Process]:
    """Start a process that reads the mount; it has ended at the end of the with statement."""
    process = start(*command, stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        end(process)


def read(process: Process, count: int) -> bytes:
    """Return the next bytes that a process writes, fewer at its end: this decides how far it reads."""
    assert process.stdout is not None
    with alarm():
        return process.stdout.read(count)


def seconds_to_die(process: Process) -> float:
    """Kill a process; return the seconds until it was gone."""
    killed = time.monotonic()
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOPPED)
    return time.monotonic() - killed


def leftovers(mount: Mount) -> str:
    """Return what is left of the readers, after at most five seconds for the last closes to arrive."""
    with contextlib.suppress(AssertionError):
        wait_until(mount.is_idle, "nothing is left", 5)
    status = mount.status()
    found = {**status["gauges"], "readers": len(status["readers"])}
    return ", ".join(f"{name} {value}" for name, value in found.items() if value) or "nothing"


def with_faults(mount: Mount, source: Path, good: list[list[str | Path]], calm: float) -> list[Row]:
    """Run the good readers among the bad ones; ``calm`` is their time without them, in seconds."""
    plain = ("dd", f"if={mount.image}", "bs=1M")
    with (
        readers(good, mount) as ready,
        bad_reader(sys.executable, "-c", NEVER_READS, mount.image) as silent,
        bad_reader(*plain, "iflag=direct") as dying,
        bad_reader(*plain) as stopped,
        bad_reader(*dd(mount.image, "bs=1M", "iflag=direct")) as waiting,
        source.open("rb") as expected,
    ):
        read(silent, 1)
        ready.go()
        read(dying, FIRST)
        right = read(stopped, FIRST) == expected.read(FIRST)
        dying_took = seconds_to_die(dying)
        stopped.send_signal(signal.SIGSTOP)
        since = time.monotonic()
        time.sleep(1)
        waited = waiting.poll() is None
        waiting_took = seconds_to_die(waiting)
        run = ready.wait()
        time.sleep(max(0.0, since + STOPPED - time.monotonic()))
        stopped.send_signal(signal.SIGCONT)
        while piece := read(stopped, MIB):
            right &= piece == expected.read(MIB)
        right &= stopped.wait() == 0 and not expected.read(1)
    return [
        all_of("good readers that got the right bytes", [code == 0 for code in run.codes]),
        at_most("seconds until the last of them", [run.seconds], calm + PATIENCE + SLACK),
        at_most("seconds for a killed one to go", [dying_took], GONE),
        all_of("one that waited when it was killed", [waited]),
        at_most("    seconds for it to go", [waiting_took], GONE),
        all_of(f"stopped for {STOPPED:.0f} s, and right", [right]),
    ]


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="512M")
    rows = []
    with image(chosen.size) as source, fanout_mount(chosen.fanoutfs, source, chosen.ring) as mount:
        good = [compared(mount.image, source, words) for words in GOOD]
        calm = run_together(good, mount)
        rows.append(Row("seconds without faults", f"{calm.seconds:.1f}", "", not any(calm.codes)))
        for _ in range(chosen.rounds):
            rows += with_faults(mount, source, good, calm.seconds)
        left = leftovers(mount)
        rows.append(Row("left in the mount afterwards", left, "nothing", left == "nothing"))
    finish(f"faults among {len(GOOD)} readers, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
