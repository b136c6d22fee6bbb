"""The memory limits of the cgroups that this process is in: containers, services, batch jobs.

Each cgroup and all its ancestors count. A limit is one of bytes that are charged to the cgroup: shared memory
is charged to the one that touches it first, and the kernel kills a process of a cgroup that is full. The
page cache is charged, too, but given up when memory is short. /proc/meminfo knows none of it. See cgroups(7),
and cgroup-v1/memory.rst and cgroup-v2.rst in the documentation of the kernel.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import attrs

from fanoutfs.system.mountinfo import Mount


@attrs.frozen
class Hierarchy:
    """A version of cgroups, by the names of its files."""

    limits: tuple[str, ...]
    usage: str
    """The bytes that are charged."""
    cache: tuple[str, ...]
    """The lines of memory.stat with the bytes that are given up when memory is short."""


V1 = Hierarchy(
    ("memory.limit_in_bytes",), "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")
)
V2 = Hierarchy(("memory.max", "memory.high"), "memory.current", ("active_file", "inactive_file"))


@attrs.frozen
class Cgroup:
    """A cgroup, as a folder that is mounted here."""

    folder: str
    hierarchy: Hierarchy


@attrs.frozen
class CgroupRoom:
    """How many bytes may yet be charged to a cgroup, and the file with the limit."""

    size: int
    limit: str


def memory_cgroups(cgroup: bytes, mounts: Sequence[Mount]) -> list[Cgroup]:
    """Return the cgroups that account this process's memory, as far as they are mounted; the topmost is last.

    ``cgroup`` is the content of /proc/self/cgroup.
    """
    paths = {}
    for line in cgroup.split(b"\n"):
        _, _, rest = line.partition(b":")
        controllers, _, path = rest.partition(b":")
        if b"memory" in controllers.split(b","):
            paths[V1] = os.fsdecode(path)
        elif rest.startswith(b":"):
            paths[V2] = os.fsdecode(path)
    cgroups = []
    for mount in mounts:
        hierarchy = _hierarchy(mount)
        if hierarchy is not None and hierarchy in paths:
            top = PurePosixPath(mount.point)
            folder = top / _below(PurePosixPath(paths[hierarchy]), PurePosixPath(mount.root))
            inside = [folder, *folder.parents]
            cgroups += [Cgroup(str(one), hierarchy) for one in inside[: inside.index(top) + 1]]
    return cgroups


def _hierarchy(mount: Mount) -> Hierarchy | None:
    if mount.kind == "cgroup2":
        return V2
    return V1 if mount.kind == "cgroup" and "memory" in mount.options else None


def _below(path: PurePosixPath, root: PurePosixPath) -> PurePosixPath:
    """Return where a cgroup is below the root of a mount; the root itself if the mount does not show it.

    In containers a path may be one of the machine, and the mount's root the container's own cgroup.
    """
    with contextlib.suppress(ValueError):
        below = path.relative_to(root)
        if ".." not in below.parts:
            return below
    return PurePosixPath()


def cgroup_rooms(cgroups: Sequence[Cgroup]) -> Iterator[CgroupRoom]:
    """Yield what each limit leaves; a cgroup whose files can't be read has none."""
    for cgroup in cgroups:
        folder = Path(cgroup.folder)
        used = max(0, (_number(folder / cgroup.hierarchy.usage) or 0) - _cache(folder, cgroup.hierarchy))
        for name in cgroup.hierarchy.limits:
            if (limit := _number(folder / name)) is not None:
                yield CgroupRoom(max(0, limit - used), str(folder / name))


def _number(path: Path) -> int | None:
    """Return the number in a file; None if it can't be read, or says that there is no limit ("max")."""
    try:
        return int(path.read_bytes())
    except (OSError, ValueError):
        return None


def _cache(folder: Path, hierarchy: Hierarchy) -> int:
    try:
        lines = (folder / "memory.stat").read_bytes().decode().split("\n")
    except OSError:
        return 0
    words = dict(line.split(" ") for line in lines if line.count(" ") == 1)
    return sum(int(words.get(name, 0)) for name in hierarchy.cache)
