"""Six tools at once on one mount, each as people use it: borg, restic, qemu-img, tar, dd and `fanoutfs copy`.

All commands start in the same instant, on a source of 50 MiB/s, which is random data on a loop device: none
of it is compressed, or stored once for several places. What each tool has stored is compared with the source.
A tool whose program takes long to start begins to read late; the table says how late, and where the head was.
One that begins when the head is farther on than the ring is long costs more reading, whatever the rules are;
so the bar is for the rounds in which all began before that. On a busy machine there may be none. The copy
begins at the head, and so costs what that has travelled (docs/decisions/0018): some rounds exceed the bar.

The programs are Debian's packages borgbackup, restic, qemu-utils and tar.
"""

import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs

from fanoutfs.units import MIB, parse_size
from tests.rig.harness import Options, all_of, at_most, finish, info, measured, options
from tests.rig.loops import attached, bytes_read
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount
from tests.rig.ready_readers import Command, readers

RATE = "50M"
BAR = 1.05  # passes over the source
SAMPLES = 0.05  # seconds between two looks at the status

# How each reads $IMAGE, and how what it has stored is compared with $SOURCE; both in an empty folder.
TOOLS = {
    "borg": ("borg create ::all $IMAGE", "borg extract --stdout ::all | cmp - $SOURCE"),
    "restic": ("restic backup --quiet $IMAGE", "restic dump latest $IMAGE | cmp - $SOURCE"),
    "qemu-img": (
        "qemu-img convert -f raw -O qcow2 $IMAGE all.qcow2",
        "qemu-img compare -f qcow2 -F raw all.qcow2 $SOURCE",
    ),
    "tar": ("tar -cf all.tar -C ${IMAGE%/image} image", "tar -xOf all.tar | cmp - $SOURCE"),
    "dd": ("dd if=$IMAGE of=all bs=1M", "cmp all $SOURCE"),
    "fanoutfs": ("$FANOUTFS copy ${IMAGE%/image} copy", "cmp copy $SOURCE"),
}
INIT = "borg init --encryption=none && restic init"


@attrs.frozen
class Begun:
    """How a tool began to read."""

    seconds: float
    """After the start of all commands, within ``SAMPLES``."""
    head: int
    """The write head, in bytes."""


@attrs.frozen
class Outcome:
    """A run of all tools."""

    passes: float
    """Of the source, by the kernel's count."""
    told: float
    """The same by the status."""
    right: list[bool]
    begun: dict[str, Begun]
    seconds: float


@attrs.define
class Watch:
    """Looks at the status again and again, in a thread, for when each tool begins to read."""

    mount: Mount
    begun: dict[str, Begun] = attrs.field(factory=dict, init=False)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block runs."""
        ended = threading.Event()
        thread = threading.Thread(target=self._run, args=(ended, time.monotonic()))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def _run(self, ended: threading.Event, start: float) -> None:
        while not ended.wait(SAMPLES):
            status = self.mount.status()
            for reader in status["readers"]:
                if reader["delivered"]:
                    self.begun.setdefault(reader["command"], Begun(time.monotonic() - start, status["head"]))


def shell(words: str, *, settings: Mapping[str, str], folder: Path) -> bool:
    """Run a command in a folder; return whether it succeeds."""
    null = subprocess.DEVNULL
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-ec", words],
        cwd=folder,
        env={**os.environ, **settings},
        stdin=null,
        stdout=null,
        stderr=null,
        check=False,
    )
    return done.returncode == 0


def commands(settings: Mapping[str, str], folder: Path) -> list[Command]:
    """Return the tools' commands: a shell that becomes the tool, so that no process is between."""
    words = [f"{name}={value}" for name, value in settings.items()]
    return [["env", "-C", folder, *words, "bash", "-c", f"exec {command}"] for command, _ in TOOLS.values()]


def run(chosen: Options, source: Path) -> Outcome:
    """Run all tools once, in a new folder on a new mount."""
    with (
        tempfile.TemporaryDirectory(prefix="fanoutfs-bench-") as name,
        attached(source, "--read-only") as device,
    ):
        folder, before = Path(name), bytes_read(device)
        with fanout_mount(chosen.fanoutfs, device, chosen.ring, "--read-rate", RATE) as mount:
            settings = {
                "IMAGE": str(mount.image),
                "SOURCE": str(source),
                "FANOUTFS": str(chosen.fanoutfs),
                "BORG_BASE_DIR": name,
                "BORG_REPO": f"{name}/borg",
                "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
                "RESTIC_REPOSITORY": f"{name}/restic",
                "RESTIC_PASSWORD": "x",
                "RESTIC_CACHE_DIR": f"{name}/cache",
            }
            if not shell(INIT, settings=settings, folder=folder):
                raise RuntimeError(f"no archive could be made: {INIT}")
            watch = Watch(mount)
            with readers(commands(settings, folder), mount) as ready, watch.watching():
                ready.go()
                done = ready.wait()
            told = mount.source_bytes() / chosen.size
            passes = (bytes_read(device) - before) / chosen.size
            right = [shell(check, settings=settings, folder=folder) for _, check in TOOLS.values()]
        right += [code == 0 for code in done.codes]
    return Outcome(passes, told, right, watch.begun, done.seconds)


@contextmanager
def random_image(size: int) -> Iterator[Path]:
    """Make an image of random data on the disk."""
    with tempfile.TemporaryDirectory(prefix="fanoutfs-bench-") as name:
        path = Path(name, "source")
        with path.open("wb") as image:
            for begin in range(0, size, MIB):
                image.write(os.urandom(min(MIB, size - begin)))
        yield path


def main() -> None:
    """Measure and report."""
    chosen = options(__doc__, size="512M", rounds=5, ring="128M")
    if missing := [name for name in ("borg", "restic", "qemu-img", "tar") if shutil.which(name) is None]:
        sys.exit(f"backup_tools needs programs that are missing: {' '.join(missing)}")
    with random_image(chosen.size) as source:
        outcomes = [run(chosen, source) for _ in range(chosen.rounds)]
    ring = parse_size(chosen.ring)
    near = [each for each in outcomes if all(begun.head <= ring for begun in each.begun.values())]
    rows = [
        all_of("tools that succeeded, and stored the source", [ok for each in outcomes for ok in each.right]),
        info("rounds in which all began while the ring was not yet full", f"{len(near)} of {len(outcomes)}"),
        at_most("    read of the device, to its size", [each.passes for each in near] or [math.inf], BAR),
        at_most("    the same by the status", [each.told for each in near] or [math.inf], BAR),
        measured("read of the device in all rounds", [each.passes for each in outcomes]),
        info(
            "seconds until the last has ended", f"{statistics.median(each.seconds for each in outcomes):.1f}"
        ),
    ]
    for name in sorted({name for each in outcomes for name in each.begun}):
        begun = [each.begun[name] for each in outcomes if name in each.begun]
        seconds = statistics.median(one.seconds for one in begun)
        head = statistics.median(one.head for one in begun) / MIB
        rows.append(info(f"{name} begins to read after", f"{seconds:.2f} s, the head at {head:.0f} MiB"))
    finish(f"six tools at once, of a source of {RATE}iB/s, ring {chosen.ring}", rows)


if __name__ == "__main__":
    main()
