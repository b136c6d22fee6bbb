"""Two hundred dd at once on one mount: all get the right bytes, and meanwhile the mount answers others.

Another process asks for the file system's size (statfs), looks the image up (stat), opens it and closes it,
again and again; the worst of each is told. Two hundred dd and as many cmp on a few processors make
any process wait, so it says also how late the other process woke up from its sleeps.
"""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator

from tests.rig.harness import Row, all_of, at_most, finish, options
from tests.rig.images import write_pattern
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount
from tests.rig.ram import folder
from tests.rig.ready_readers import compared, run_together

READERS = 200
BAR = 2.0  # seconds, for the worst answer
PROBE = """
import json, os, sys, threading, time
image = sys.argv[1]
worst = dict.fromkeys(("sleep", "statfs", "stat", "open", "close"), 0.0)
count = 0
def timed(name, call, *words):
    before = time.monotonic()
    answer = call(*words)
    worst[name] = max(worst[name], time.monotonic() - before)
    return answer
asked = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), asked.set()), daemon=True).start()
print(flush=True)
while not asked.is_set():
    before = time.monotonic()
    time.sleep(0.02)
    worst["sleep"] = max(worst["sleep"], time.monotonic() - before - 0.02)
    timed("statfs", os.statvfs, os.path.dirname(image))
    timed("stat", os.stat, image)
    timed("close", os.close, timed("open", os.open, image, os.O_RDONLY))
    count += 1
print(json.dumps({"count": count, "worst": worst}))
"""


@contextlib.contextmanager
def probing(mount: Mount) -> Iterator[subprocess.Popen[bytes]]:
    """Have a process that asks the mount for this and that until its input ends."""
    command = [sys.executable, "-I", "-S", "-c", PROBE, str(mount.image)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    """Measure and answer."""
    chosen = options(__doc__, size="128M", ring="32M")
    right: list[bool] = []
    seconds: list[float] = []
    worst: dict[str, list[float]] = {}
    count = 0
    with folder() as ram:
        source = write_pattern(ram / "source", chosen.size)
        with fanout_mount(chosen.fanoutfs, source, chosen.ring) as mount:
            commands = [compared(mount.image, source, ("bs=1M",))] * READERS
            for _ in range(chosen.rounds):
                with probing(mount) as probe:
                    run = run_together(commands, mount)
                    found = json.loads(probe.communicate(timeout=60)[0])
                right += [code == 0 for code in run.codes]
                seconds.append(run.seconds)
                count += found["count"]
                for name, figure in found["worst"].items():
                    worst.setdefault(name, []).append(figure)
            share = mount.status()["source"]["bytes_read"] / chosen.size
    rows = [all_of("copies that equal the source", right)]
    rows += [
        Row(f"the worst {name} of {count}", f"{1000 * max(found):.0f} ms", "", holds=True)
        for name, found in worst.items()
        if name == "sleep"
    ]
    rows += [
        at_most(f"the worst {name} of {count}", [max(found)], BAR, " s")
        for name, found in worst.items()
        if name != "sleep"
    ]
    figure = f"{share / chosen.rounds:.2f} times per round, {max(seconds):.1f} s the longest"
    rows.append(Row("the source was read", figure, "", holds=True))
    finish(f"{READERS} dd at once of an image of {chosen.size >> 20} MiB, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
