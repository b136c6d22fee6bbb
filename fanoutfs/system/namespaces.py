"""Mounts in the mount namespaces of other processes: a new namespace begins with a copy of all mounts.

An unmount here reaches these copies only where the mounts are shared (mount_namespaces(7)), and a file system
lives until its last mount is gone.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from fanoutfs.system.mountinfo import Mount, parse
from fanoutfs.system.proc import command_name

MOST = 3
"""Namespaces that are named; there may be thousands."""


@attrs.frozen
class MountElsewhere:
    """A mount in the namespace of a different process, which is the first there by its number."""

    pid: int
    command: str
    point: str
    """The mount point as that process sees it."""


def elsewhere(matches: Callable[[Mount], bool], processes: Path = Path("/proc")) -> list[MountElsewhere]:
    """Return mounts that match in other namespaces than this process's, as far as they can be seen."""
    found: list[MountElsewhere] = []
    for pid in _one_of_each_namespace(processes):
        mount = next(filter(matches, _mounts(processes / str(pid))), None)
        if mount is not None:
            command = command_name(processes / str(pid)) or "a program"
            found.append(MountElsewhere(pid, command, mount.point))
            if len(found) == MOST:
                break
    return found


def _one_of_each_namespace(processes: Path) -> Iterator[int]:
    seen = {_namespace(processes / "self")}
    for pid in sorted(int(entry.name) for entry in processes.iterdir() if entry.name.isdecimal()):
        namespace = _namespace(processes / str(pid))
        if namespace is None or namespace not in seen:
            yield pid
        seen.add(namespace)


def _namespace(process: Path) -> str | None:
    """Return the name of a process's namespace; None if the process is another user's, or has ended."""
    try:
        return os.readlink(process / "ns" / "mnt")  # noqa: PTH115 (not a path)
    except OSError:
        return None


def _mounts(process: Path) -> list[Mount]:
    try:
        return parse((process / "mountinfo").read_bytes())
    except OSError:
        # It has ended, or may not be looked at.
        return []
