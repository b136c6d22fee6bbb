"""Two hundred dd at once on one mount: all get the right bytes, and meanwhile the mount answers others.

A further process asks for the file system's size (statfs), looks the image up (stat), opens it and closes it,
again and again; the worst of each is reported. Two hundred dd and as many cmp on a few processors make any
process wait, so it also reports how late that process woke up from its sleeps.
"""

import json
import math
import subprocess
import sys

from tests.rig.commands import end, start
from tests.rig.harness import all_of, at_most, finish, info, options
from tests.rig.measured_mounts import fanout_mount
from tests.rig.ram import image
from tests.rig.ready_readers import compared, run_together

READERS = 200
BAR = 2.0  # seconds, for the worst answer
PROBE = """
import json, os, select, sys, time
image = sys.argv[1]
worst = dict.fromkeys(("sleep", "statfs", "stat", "open", "close"), 0.0)
count = 0
def timed(name, call, *words, beyond=0.0):
    before = time.monotonic()
    answer = call(*words)
    worst[name] = max(worst[name], time.monotonic() - before - beyond)
    return answer
print(flush=True)
while not timed("sleep", select.select, [sys.stdin], [], [], 0.02, beyond=0.02)[0]:
    timed("statfs", os.statvfs, os.path.dirname(image))
    timed("stat", os.stat, image)
    timed("close", os.close, timed("open", os.open, image, os.O_RDONLY))
    count += 1
print(json.dumps({"count": count, "worst": worst}))
"""


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="128M", ring="32M")
    right: list[bool] = []
    seconds: list[float] = []
    worst: dict[str, float] = {}
    count = 0
    with image(chosen.size) as source, fanout_mount(chosen.fanoutfs, source, chosen.ring) as mount:
        commands = [compared(mount.image, source, ("bs=1M",))] * READERS
        for _ in range(chosen.rounds):
            probe = start(sys.executable, "-I", "-S", "-c", PROBE, mount.image, stdin=subprocess.PIPE)
            try:
                assert probe.stdout is not None
                probe.stdout.readline()
                run = run_together(commands, mount)
                found = json.loads(probe.communicate(timeout=60)[0])
            finally:
                end(probe)
            right += [code == 0 for code in run.codes]
            seconds.append(run.seconds)
            count += found["count"]
            worst = {name: max(figure, worst.get(name, 0.0)) for name, figure in found["worst"].items()}
        share = mount.source_bytes() / chosen.size / chosen.rounds
    rows = [all_of("copies that equal the source", right)]
    rows += [
        at_most(f"the worst {name} of {count}", [figure], math.inf if name == "sleep" else BAR, " s")
        for name, figure in worst.items()
    ]
    rows.append(info("the source was read", f"{share:.2f} times per round, {max(seconds):.1f} s the longest"))
    finish(f"{READERS} dd at once of an image of {chosen.size >> 20} MiB, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
