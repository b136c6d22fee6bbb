"""10,000 hostile sessions on the control socket of a mount, beside copies: these are right and on time.

tests/rig/hostile.py has what a session does. Each process has ten of them, because one that breaks the rules
three times is barred. The source gives 100 MiB/s (--read-rate), so the machine has time for both. In the end
nothing may be left of the sessions: no reader, no held block, no descriptor, and the producer is the same.
"""

import os
import random
import sys
import time
from pathlib import Path

import attrs

from contrib.bench.faults import leftovers
from fanoutfs.engine.lock import socket_path
from fanoutfs.system.identity import identity_of
from tests.rig.harness import Options, all_of, at_most, exactly, finish, info, options
from tests.rig.hostile import sessions
from tests.rig.limited import RATE
from tests.rig.measured_copies import copies, same, zeroed
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount
from tests.rig.ram import source_and_targets
from tests.rig.timed_readers import POLL

SEED = 20260101
EACH = 10  # sessions of one process
AT_ONCE = 3  # processes
CALM = 3
LATE = 1.5  # times a copy without hostile sessions


@attrs.define(eq=False)
class Attack:
    """The processes of hostile sessions, a few at a time."""

    path: Path
    left: int
    """How many processes have not been started."""
    ended: list[int] = attrs.field(factory=list)
    """Their exit codes: how often one could do what it must not, or more if it failed."""
    _running: list[int] = attrs.field(factory=list)

    @property
    def over(self) -> bool:
        """Whether all have ended."""
        return not self.left and not self._running

    def go_on(self) -> None:
        """Reap those that have ended, and start others."""
        for pid in list(self._running):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self._running.remove(pid)
                self.ended.append(os.waitstatus_to_exitcode(status))
        while self.left and len(self._running) < AT_ONCE:
            self.left -= 1
            pid = os.fork()
            if pid == 0:
                self._attack(self.left)
            self._running.append(pid)

    def _attack(self, number: int) -> None:
        code = 100
        try:
            random.seed(number)
            code = sum(len(one.breaches) for one in sessions(self.path, SEED + number, EACH))
        finally:
            sys.stderr.flush()
            os._exit(code)


def attacked(
    chosen: Options, mount: Mount, source: Path, target: Path, attack: Attack
) -> list[tuple[bool, float]]:
    """Copy again and again until the attack is over; return whether each copy is right, and its seconds."""
    found: list[tuple[bool, float]] = []
    while not attack.over:
        zeroed(target, chosen.size)
        with copies(chosen.fanoutfs, mount.point) as made:
            copy = made.start([target])
            while copy.running:
                attack.go_on()
                time.sleep(POLL)
            seconds = time.monotonic() - copy.start
            found.append((copy.succeeded() and same(target, source), seconds))
    return found


def seconds_of_one(chosen: Options, mount: Mount, target: Path) -> float:
    """Return how long a copy takes without hostile sessions."""
    with copies(chosen.fanoutfs, mount.point) as made:
        return made.start([target]).seconds()


def main() -> None:
    """Attack and report."""
    chosen = options(__doc__, size="256M", rounds=10_000, ring="32M")
    with source_and_targets(chosen.size, 1) as (source, (target,)):
        zeroed(target, chosen.size)
        with fanout_mount(chosen.fanoutfs, source, chosen.ring, "--read-rate", str(RATE)) as mount:
            calm = [seconds_of_one(chosen, mount, target) for _ in range(CALM)]
            descriptors = Path(f"/proc/{mount.pid}/fd")
            before = len(list(descriptors.iterdir()))
            attack = Attack(socket_path(identity_of(source.stat())), -(-chosen.rounds // EACH))
            found = attacked(chosen, mount, source, target, attack)
            left = leftovers(mount)
            after = len(list(descriptors.iterdir()))
            pid = mount.status()["pid"]
            cut_off = mount.log.read_text().count("closing the connection")
            bugs = mount.log.read_text().count("this is a bug")
    usual = max(calm)
    rows = [
        info("hostile sessions", f"{EACH * len(attack.ended)}"),
        info("    that were cut off", f"{cut_off}"),
        exactly("    that could do what they must not, or failed", sum(map(bool, attack.ended)), 0),
        info("seconds of a copy without them", f"{usual:.2f}"),
        all_of("copies beside them: exit code 0, target equal to source", [right for right, _ in found]),
        at_most("    the slowest took times that", [max(took for _, took in found) / usual], LATE),
        exactly("left in the mount afterwards", left, "nothing"),
        exactly("descriptors of the producer afterwards", after, before),
        exactly("the producer's process, still the first", pid, mount.pid),
        exactly("lines of its log that name a bug", bugs, 0),
    ]
    finish(f"{chosen.rounds} hostile sessions beside copies, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
