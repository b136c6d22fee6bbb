"""How much memory this process may take: what the machine, its cgroups and its own limits leave."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path

import attrs

from fanoutfs.system.cgroups import cgroup_rooms, memory_cgroups
from fanoutfs.system.mountinfo import mounts


@attrs.frozen(order=True)
class MemoryRoom:
    """Bytes that can be taken, and what limits them: a part of a message."""

    size: int
    limit: str


def memory_room() -> MemoryRoom:
    """Return the least room that is left here."""
    return min([_machine(), *_cgroups(), *_own_limits()])


def _machine() -> MemoryRoom:
    """Return what is available without swapping (MemAvailable, proc(5))."""
    size = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            size = int(line.split()[1]) * 1024
    return MemoryRoom(size, "the memory of this machine")


def _cgroups() -> Iterator[MemoryRoom]:
    for room in cgroup_rooms(memory_cgroups(_membership(), mounts())):
        yield MemoryRoom(room.size, f"the memory limit {room.limit}")


def _membership() -> bytes:
    """Return the cgroups of this process; a kernel without cgroups has no such file."""
    try:
        return Path("/proc/self/cgroup").read_bytes()
    except FileNotFoundError:
        return b""


def _own_limits() -> Iterator[MemoryRoom]:
    """Yield what the limits of this process leave. Shared memory is a file, too."""
    page = os.sysconf("SC_PAGE_SIZE")
    sizes = [int(pages) * page for pages in Path("/proc/self/statm").read_text().split()]
    for number, used, option in (
        (resource.RLIMIT_AS, sizes[0], "-v"),
        (resource.RLIMIT_DATA, sizes[5], "-d"),
        (resource.RLIMIT_FSIZE, 0, "-f"),
    ):
        limit, _ = resource.getrlimit(number)
        if limit != resource.RLIM_INFINITY:
            yield MemoryRoom(max(0, limit - used), f"this process's limit (ulimit {option})")
