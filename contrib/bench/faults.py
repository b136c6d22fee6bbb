"""Readers that die, stop or never read: the others finish, and nothing of the bad ones is left in the mount.

Together with four good readers (two direct, two cached) there are

- a dd that is killed after some MiB,
- a dd that is stopped after some MiB, for a minute, and then goes on to the end,
- a direct dd that is killed while it waits for the stopped one: it can go only when it is answered,
- an open handle that is never read.
"""

import contextlib
import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from fanoutfs.units import MIB
from tests.rig import mountinfo
from tests.rig.harness import Row, finish, options
from tests.rig.images import write_pattern
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount
from tests.rig.ram import folder
from tests.rig.ready_readers import alarm, dd, readers, run_together

STOPPED = 60.0  # seconds
PATIENCE = 10.0  # seconds; fanoutfs's default, and so what a stopped reader may cost the others
SLACK = 5.0  # seconds beyond that and beyond a run without faults
GONE = 2.0  # seconds that a killed reader may take to be gone
FIRST = (
    16 * MIB
)  # what a bad reader gets before its fault: less than the ring, so the good ones are still near
GOOD = (("bs=1M", "iflag=direct"), ("bs=1M",)) * 2
NEVER_READS = "import sys; file = open(sys.argv[1], 'rb', 0); print(flush=True); sys.stdin.read()"


def hashing(image: Path, digest: str, words: tuple[str, ...]) -> list[str | Path]:
    """Write down a dd whose output must have this sha256."""
    script = 'digest=$1; shift; test "$(dd "$@" | sha256sum)" = "$digest  -"'
    return ["sh", "-c", script, "sh", digest, f"if={image}", *words]


@attrs.define(eq=False)
class BadReader:
    """A process that ends, one way or another, when the with statement around it does."""

    process: subprocess.Popen[bytes]

    def read(self, count: int) -> bytes:
        """Give the next bytes that it writes, at the end fewer: so we decide how far it comes."""
        assert self.process.stdout is not None
        with alarm():
            return self.process.stdout.read(count)

    def kill(self) -> float:
        """Kill it; give the seconds until it was gone."""
        start = time.monotonic()
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOPPED)
        return time.monotonic() - start


@contextlib.contextmanager
def bad_reader(mount: Mount, *command: str | Path) -> Iterator[BadReader]:
    """Start a process that reads the mount."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        yield BadReader(process)
    finally:
        process.kill()
        try:
            process.communicate(timeout=5 * GONE)
        except subprocess.TimeoutExpired:
            mountinfo.abort(mount.point)
            process.wait()


def leftovers(mount: Mount) -> str:
    """Say what is still there of the readers, after some seconds for the last closes to arrive."""
    found: dict[str, int] = {}
    for _ in range(50):
        status = mount.status()
        found = {name: value for name, value in status["gauges"].items() if value}
        if status["readers"]:
            found["readers"] = len(status["readers"])
        if not found:
            return "nothing"
        time.sleep(0.1)
    return ", ".join(f"{name} {value}" for name, value in found.items())


def with_faults(mount: Mount, good: list[list[str | Path]], digest: str, calm: float) -> list[Row]:
    """Run the good readers among the bad ones."""
    plain = ["dd", f"if={mount.image}", "bs=1M"]
    with (
        readers(good, mount) as ready,
        bad_reader(mount, sys.executable, "-c", NEVER_READS, mount.image) as silent,
        bad_reader(mount, *plain, "iflag=direct") as dying,
        bad_reader(mount, *plain) as stopped,
        bad_reader(mount, *dd(mount.image, "bs=1M", "iflag=direct")) as waiting,
    ):
        silent.read(1)
        ready.go()
        dying.read(FIRST)
        begun = stopped.read(FIRST)
        dying_took = dying.kill()
        stopped.process.send_signal(signal.SIGSTOP)
        since = time.monotonic()
        time.sleep(1)
        waited = waiting.process.poll() is None
        waiting_took = waiting.kill()
        run = ready.wait()
        time.sleep(max(0.0, since + STOPPED - time.monotonic()))
        stopped.process.send_signal(signal.SIGCONT)
        late = hashlib.sha256(begun)
        while piece := stopped.read(MIB):
            late.update(piece)
        late_right = stopped.process.wait() == 0 and late.hexdigest() == digest
        silent.process.communicate()
    limit = calm + PATIENCE + SLACK
    right = run.codes.count(0)
    return [
        Row("good readers that got the right bytes", f"{right} of {len(good)}", "all", right == len(good)),
        Row("seconds until the last of them", f"{run.seconds:.1f}", f"{limit:.1f}", run.seconds <= limit),
        Row("seconds for a killed one to go", f"{dying_took:.2f}", f"{GONE}", dying_took <= GONE),
        Row(
            "the same, killed while it waits",
            f"{waiting_took:.2f}",
            f"{GONE}",
            waiting_took <= GONE and waited,
        ),
        Row(f"stopped for {STOPPED:.0f} s", "right" if late_right else "wrong", "right", late_right),
    ]


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="512M")
    rows = []
    with folder() as ram:
        source = write_pattern(ram / "source", chosen.size)
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with fanout_mount(chosen.fanoutfs, source, chosen.ring) as mount:
            good = [hashing(mount.image, digest, words) for words in GOOD]
            calm = run_together(good, mount)
            rows.append(Row("seconds without faults", f"{calm.seconds:.1f}", "", not any(calm.codes)))
            for _ in range(chosen.rounds):
                rows += with_faults(mount, good, digest, calm.seconds)
            left = leftovers(mount)
            rows.append(Row("left in the mount afterwards", left, "nothing", left == "nothing"))
    finish(f"faults among {len(GOOD)} readers, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
