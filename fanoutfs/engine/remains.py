"""Where a mount still is once it has left its mount point: its daemon serves it until the last has gone."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from fanoutfs.system.mountinfo import Mount, mount_at, mounts, visible
from fanoutfs.system.namespaces import elsewhere


def remains(matches: Callable[[Mount], bool], daemon: int, readers: Iterable[str]) -> str:
    """Return where the mount that matches still is, and what to do about it.

    ``daemon`` is the process that serves it. ``readers`` name the programs that have files open in it: after
    a lazy unmount, these alone have it.
    """
    return (
        remains_here(matches)
        or _covered(matches)
        or remains_elsewhere(matches, daemon)
        or f"it is unmounted, but still in use by {', '.join(sorted(set(readers))) or 'a program'}; "
        f"let that end, or end the daemon: kill {daemon}"
    )


def where_served(point: Path, device: tuple[int, int] | None, readers: Iterable[str]) -> str:
    """Return where the mount of this process is, and what to do about it; looks at other namespaces.

    It was mounted on ``point``; ``device``: what the kernel calls its file system, if that is known.
    """
    there = mount_at(point)
    if device is None or (there is not None and there.device == device):
        return f"on {point} already; read it there, or unmount it with: fanoutfs umount {point}"
    left = remains(lambda mount: mount.device == device, os.getpid(), readers)
    return f"as the mount that was on {point}: {left}"


def _covered(matches: Callable[[Mount], bool]) -> str:
    points = [mount.point for mount in mounts() if matches(mount)]
    return f"a different mount covers it on {points[0]}; unmount that first" if points else ""


def remains_here(matches: Callable[[Mount], bool]) -> str:
    """As ``remains``, for the mount namespace of this process."""
    points = [mount.point for mount in visible(mounts()) if matches(mount)]
    if not points:
        return ""
    return f"it is still mounted on {', '.join(points)}; to unmount it there: fanoutfs umount {points[0]}"


def remains_elsewhere(matches: Callable[[Mount], bool], daemon: int) -> str:
    """As ``remains``, for the mount namespaces of other processes."""
    others = elsewhere(matches)
    if not others:
        return ""
    names = ", ".join(f"{other.command} (process {other.pid})" for other in others)
    first, has = others[0], "has" if len(others) == 1 else "have"
    return (
        f"{names} still {has} it in a different mount namespace; end that, or as root: "
        f"nsenter --target {first.pid} --mount umount {first.point} (or end the daemon: kill {daemon})"
    )
