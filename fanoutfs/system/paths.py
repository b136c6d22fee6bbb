"""Follow a path without touching what may hang: a fanoutfs mount, or a file system with a server."""

import contextlib
import errno
import os
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from fanoutfs.errors import NoAnswerError
from fanoutfs.system import bounded
from fanoutfs.system.mountinfo import FANOUTFS, Mount, mounts, visible

LINKS = 40
"""The most symbolic links that the kernel follows in one path (path_resolution(7))."""

KERNELS = frozenset({
    "aufs", "bcachefs", "binfmt_misc", "bpf", "btrfs", "cgroup", "cgroup2", "configfs", "debugfs", "devpts",
    "devtmpfs", "efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "overlay", "proc", "pstore", "ramfs",
    "rootfs", "securityfs", "selinuxfs", "sysfs", "tmpfs", "tracefs", "ubifs", "zfs",
})  # fmt: skip
"""Kinds of file system without a block device that the kernel answers for by itself."""


def is_fanoutfs(mount: Mount) -> bool:
    """Return whether a mount is one of ours."""
    return mount.kind == FANOUTFS


def has_server(mount: Mount) -> bool:
    """Return whether a process or a different computer answers for a file system; it may be stopped.

    Of kinds that are not known here the answer is yes.
    """
    return mount.kind.startswith("fuse") or (mount.major == 0 and mount.kind not in KERNELS)


def find(path: str, table: Sequence[Mount] | None = None) -> tuple[str, Mount | None]:
    """Return ``path`` absolute and without links, and the fanoutfs mount, untouched, that it lies in.

    Raise NoAnswerError when a different file system on the way does not answer; OSError as ``follow`` does.
    """
    if table is None:
        table = visible(mounts())
    place, mount = follow(path, table, has_server)
    if mount is None or is_fanoutfs(mount):
        return place, mount
    try:
        return bounded.call_within(bounded.ANSWER_SECONDS, partial(_follow_and_ask, path, table))
    except TimeoutError as error:
        raise NoAnswerError(
            f"{path} does not answer: the file system on {mount.point} ({mount.kind}) has been silent for "
            f"{bounded.ANSWER_SECONDS:g} seconds; take it down with: umount -l {mount.point}"
        ) from error


def _follow_and_ask(path: str, table: Sequence[Mount]) -> tuple[str, Mount | None]:
    place, mount = follow(path, table)
    if mount is None:
        # The kernel answers stat(2) from memory for a while, statvfs(2) never.
        with contextlib.suppress(OSError):
            os.statvfs(place)
    return place, mount


def follow(
    path: str, mounts: Sequence[Mount], stops: Callable[[Mount], bool] = is_fanoutfs
) -> tuple[str, Mount | None]:
    """Return ``path`` absolute and without links, and the mount at which ``stops`` ends the walk.

    Within that mount the rest of the path is not resolved; nor are parts that do not exist. Raise OSError
    for a loop of links, and if the working folder no longer exists.
    """
    points = {mount.point: mount for mount in mounts}
    parts = _parts(path) if path.startswith("/") else [*_parts(path), *_parts(os.getcwd())]  # noqa: PTH109 (of the same kind as readlink)
    at, links = "/", 0
    while parts:
        part = parts.pop()
        at = os.path.dirname(at) if part == ".." else os.path.join(at, part)  # noqa: PTH118, PTH120 (text only)
        mount = points.get(at)
        if mount is not None and stops(mount):
            if parts and parts[-1] == "..":
                continue
            return os.path.join(at, *reversed(parts)), mount  # noqa: PTH118 (text only)
        try:
            target = os.readlink(at)  # noqa: PTH115 (text only)
        except OSError:
            # Not a link, missing, or not readable: opening it will show which.
            continue
        if _stands_for_something_else(at, target, mounts):
            continue
        links += 1
        if links > LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        at = "/" if target.startswith("/") else os.path.dirname(at)  # noqa: PTH120 (text only)
        parts += _parts(target)
    return at, None


def _stands_for_something_else(link: str, target: str, mounts: Sequence[Mount]) -> bool:
    """Return whether a link of /proc leads to a file that its text does not lead to.

    /proc/PID/fd/N, cwd, exe and root stand for the file itself: it may have been deleted, be a pipe, or lie
    in a mount that this process does not see (proc(5)). No file system with a server is accessed.
    """
    around = within(link, mounts)
    if around is None or around.kind != "proc":
        return False
    try:
        fd = os.open(link, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        number = int(re.findall(r"^mnt_id:\s*(\d+)$", _fdinfo(fd), re.MULTILINE)[0])
    finally:
        os.close(fd)
    mount = next((mount for mount in mounts if mount.number == number), None)
    if mount is None:
        return True
    if has_server(mount):
        return False
    try:
        return not Path(link).samefile(Path(link).parent / target)
    except OSError:
        return True


def _fdinfo(fd: int) -> str:
    with open(f"/proc/self/fdinfo/{fd}") as info:  # noqa: PTH123 (a table of this process)
        return info.read()


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
