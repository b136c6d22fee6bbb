"""Follow a path without accessing a fanoutfs mount: one whose daemon hangs would never answer."""

import errno
import os
from collections.abc import Sequence

from fanoutfs.system.mountinfo import FANOUTFS, Mount

LINKS = 40
"""The most symbolic links that the kernel follows in one path (path_resolution(7))."""


def follow(path: str, mounts: Sequence[Mount]) -> tuple[str, Mount | None]:
    """Return ``path`` absolute and without links, and the fanoutfs mount that it lies in.

    Within such a mount the rest of the path is not resolved; nor are parts that do not exist. Raise OSError
    for a loop of links, and if the working folder no longer exists.
    """
    points = {mount.point: mount for mount in mounts}
    parts = _parts(path) if path.startswith("/") else [*_parts(path), *_parts(os.getcwd())]  # noqa: PTH109 (of the same kind as readlink)
    at, links = "/", 0
    while parts:
        part = parts.pop()
        at = os.path.dirname(at) if part == ".." else os.path.join(at, part)  # noqa: PTH118, PTH120 (text only)
        mount = points.get(at)
        if mount is not None and mount.kind == FANOUTFS:
            if parts and parts[-1] == "..":
                continue
            return os.path.join(at, *reversed(parts)), mount  # noqa: PTH118 (text only)
        try:
            target = os.readlink(at)  # noqa: PTH115 (text only)
        except OSError:
            # Not a link, missing, or not readable: opening it will show which.
            continue
        links += 1
        if links > LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        at = "/" if target.startswith("/") else os.path.dirname(at)  # noqa: PTH120 (text only)
        parts += _parts(target)
    return at, None


def within(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """Return the visible mount in which this path, without links, lies."""
    found = None
    for mount in mounts:
        inside = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if inside and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def _parts(path: str) -> list[str]:
    """Return the parts of a path, the last first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]
