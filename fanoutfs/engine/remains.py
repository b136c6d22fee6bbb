"""Where a mount still is once it has left its mount point: its daemon serves it until the last has gone."""

from collections.abc import Callable

from fanoutfs.system.mountinfo import Mount, mounts, visible
from fanoutfs.system.namespaces import MountElsewhere, elsewhere


def remains(matches: Callable[[Mount], bool], daemon: int) -> str:
    """Return where the mount that matches still is, and what to do about it; empty if it can't be seen.

    ``daemon`` is the process that serves it. Mount namespaces of others are looked at only if it is not here.
    """
    here = [mount.point for mount in visible(mounts()) if matches(mount)]
    if here:
        return f"it is still mounted on {', '.join(here)}; to unmount it there: fanoutfs umount {here[0]}"
    others = elsewhere(matches)
    return _held(others, daemon) if others else ""


def _held(others: list[MountElsewhere], daemon: int) -> str:
    names = ", ".join(f"{other.command} (process {other.pid})" for other in others)
    first, has = others[0], "has" if len(others) == 1 else "have"
    return (
        f"{names} still {has} it in a different mount namespace; end that, or as root: "
        f"nsenter --target {first.pid} --mount umount {first.point} (or end the daemon: kill {daemon})"
    )
