"""A source as slow as a disk: a loop device of which the processes of one cgroup read at most 100 MiB/s.

The limit is the kernel's (blkio.throttle, cgroup version 1), so fanoutfs, dd and nbdkit meet the same one. It
works in bursts: 10 MiB at the speed of memory, then nothing for the rest of a tenth of a second. A disk is
steadier than that, so a mount can be made to limit itself with --read-rate in place of it, which spreads its
reads. That is also what is done where there is no such cgroup; what reads the device without fanoutfs can't
be measured there.
"""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from fanoutfs.units import MIB
from tests.rig.loops import attached, bytes_read, number
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount

RATE = 100 * MIB  # bytes per second
BLKIO = Path("/sys/fs/cgroup/blkio")
MEMORY = Path("/sys/fs/cgroup/memory")
LIMIT = "blkio.throttle.read_bps_device"


@contextlib.contextmanager
def control_group(controller: Path, name: str, setting: str, value: str) -> Iterator[Path]:
    """Make a cgroup with one setting; what was put into it must have ended when the with statement does."""
    group = controller / f"fanoutfs-bench-{name}-{os.getpid()}"
    group.mkdir()
    try:
        (group / setting).write_text(value)
        yield group
    finally:
        for attempt in range(100):  # a process that has ended leaves its cgroup a moment later
            try:
                group.rmdir()
                break
            except OSError:
                if attempt == 99:
                    raise
                time.sleep(0.05)


def can_limit() -> bool:
    """Say whether this machine has the cgroups that limit what isn't fanoutfs, too."""
    return (BLKIO / LIMIT).exists() and MEMORY.is_dir()


def memory_group(name: str, size: int) -> contextlib.AbstractContextManager[Path]:
    """Make a cgroup of processes that together have so many bytes, their page cache included."""
    return control_group(MEMORY, name, "memory.limit_in_bytes", str(size))


def within(groups: Sequence[Path], command: Sequence[str | Path]) -> list[str | Path]:
    """Write down a command that puts itself into cgroups first."""
    script = "".join(f"echo $$ > {group}/cgroup.procs && " for group in groups) + 'exec "$@"'
    return ["sh", "-c", script, "sh", *command]


@attrs.frozen
class LimitedSource:
    """A loop device, and the cgroup whose processes it is slow for; None where there are none."""

    device: Path
    group: Path | None
    before: int

    def bytes_read(self) -> int:
        """Give what the kernel has read of it since this was made, in bytes."""
        return bytes_read(self.device) - self.before


@contextlib.contextmanager
def limited_source(file: Path) -> Iterator[LimitedSource]:
    """Attach a file as a device that is read at RATE."""
    with attached(file, "--read-only") as device, contextlib.ExitStack() as stack:
        group = None
        if (BLKIO / LIMIT).exists():
            group = stack.enter_context(control_group(BLKIO, "source", LIMIT, f"{number(device)} {RATE}"))
        yield LimitedSource(device, group, bytes_read(device))


@contextlib.contextmanager
def limited_mount(
    fanoutfs: Path, source: LimitedSource, ring: str | None, *words: str, steady: bool = False
) -> Iterator[Mount]:
    """Mount a limited source; the daemon reads it at RATE, in bursts or steadily."""
    group = None if steady else source.group
    if group is None:
        words += ("--read-rate", str(RATE))
    with fanout_mount(fanoutfs, source.device, ring, *words) as mount:
        if group is not None:
            (group / "cgroup.procs").write_text(str(mount.pid))
        yield mount
