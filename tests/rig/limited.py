"""A source as slow as a disk: a loop device from which the processes of one cgroup read at most 100 MiB/s.

The limit is the kernel's (blkio.throttle, cgroup version 1), so it is the same for fanoutfs, dd and nbdkit.
It works in bursts: 10 MiB at the speed of memory, then nothing for the rest of a tenth of a second. A disk is
steadier: a mount can limit itself with --read-rate instead, which spreads its reads. It also does that on a
machine without this cgroup, where other programs that read the device cannot be measured.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from fanoutfs.units import MIB
from tests.rig.commands import wait_until
from tests.rig.loops import attached, bytes_read, number
from tests.rig.measured_mounts import fanout_mount
from tests.rig.mounts import Mount

RATE = 100 * MIB  # bytes per second
CGROUPS = Path("/sys/fs/cgroup")
BLKIO = CGROUPS / "blkio"
MEMORY = CGROUPS / "memory"
LIMIT = "blkio.throttle.read_bps_device"


@contextlib.contextmanager
def control_group(controller: Path, name: str, setting: str, value: str) -> Iterator[Path]:
    """Make a cgroup with one setting; its processes must have ended at the end of the with statement."""
    group = controller / f"fanoutfs-bench-{name}-{os.getpid()}"
    group.mkdir()
    try:
        (group / setting).write_text(value)
        yield group
    finally:
        wait_until(lambda: _removed(group), f"{group} is empty", 5)


def _removed(group: Path) -> bool:
    """Remove a cgroup; return whether that succeeded: a process leaves it a moment after its end."""
    with contextlib.suppress(OSError):
        group.rmdir()
    return not group.exists()


def can_limit() -> bool:
    """Return whether this machine has the cgroups that also limit other programs than fanoutfs."""
    return (BLKIO / LIMIT).exists() and MEMORY.is_dir()


def memory_group(name: str, size: int) -> contextlib.AbstractContextManager[Path]:
    """Make a cgroup of processes that together get ``size`` bytes of memory, including their page cache."""
    return control_group(MEMORY, name, "memory.limit_in_bytes", str(size))


def within(groups: Sequence[Path], command: Sequence[str | Path]) -> list[str | Path]:
    """Return a command that first enters the cgroups."""
    script = "".join(f"echo $$ > {group}/cgroup.procs && " for group in groups) + 'exec "$@"'
    return ["sh", "-c", script, "sh", *command]


@attrs.frozen
class LimitedSource:
    """A loop device, and the cgroup for whose processes it is slow; None on a machine without cgroups."""

    device: Path
    group: Path | None
    size: int
    before: int

    def bytes_read(self) -> int:
        """Return the bytes that the kernel has read from the device since this was made."""
        return bytes_read(self.device) - self.before

    def share(self) -> float:
        """Return the same, divided by the device's size."""
        return self.bytes_read() / self.size


@contextlib.contextmanager
def limited_source(file: Path) -> Iterator[LimitedSource]:
    """Attach a file as a device with the rate RATE."""
    with attached(file, "--read-only") as device, contextlib.ExitStack() as stack:
        group = None
        if (BLKIO / LIMIT).exists():
            group = stack.enter_context(control_group(BLKIO, "source", LIMIT, f"{number(device)} {RATE}"))
        yield LimitedSource(device, group, file.stat().st_size, bytes_read(device))


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
