"""Where a mount still is once it has left its mount point: its daemon serves it until the last has gone."""

from collections.abc import Callable

from fanoutfs.system.mountinfo import Mount, mounts, visible
from fanoutfs.system.namespaces import elsewhere


def remains(matches: Callable[[Mount], bool], daemon: int) -> str:
    """Return where the mount that matches still is, and what to do about it; empty if it can't be seen.

    ``daemon`` is the process that serves it. Mount namespaces of others are looked at only if it is not here.
    """
    return remains_here(matches) or remains_elsewhere(matches, daemon)


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
