"""Programs that have a file or disk open for writing, from /proc: nothing that might hang is accessed."""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Self

import attrs

from fanoutfs.system import mountinfo
from fanoutfs.system.proc import command_name


@attrs.frozen
class FileNode:
    """What a path names: an inode in a file system. A disk may have several."""

    device: int
    """The number of the file system."""
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """Return the node that stat(2) describes."""
        return cls(status.st_dev, status.st_ino)


def writers(nodes: Collection[FileNode], proc: Path = Path("/proc")) -> list[tuple[int, str]]:
    """Return the processes, with their names, that have one of ``nodes`` open for writing.

    Not those of other users, unless this process is root's; nor this one. Before Linux 5.14 none.
    """
    pids = sorted(int(path.name) for path in proc.iterdir() if path.name.isdecimal())
    return [
        (pid, command_name(proc / str(pid)))
        for pid in pids
        if pid != os.getpid() and _writes(proc / str(pid), nodes)
    ]


def _writes(process: Path, nodes: Collection[FileNode]) -> bool:
    inodes = {node.inode for node in nodes}
    opened = [(inode, mount) for inode, mount in _open_to_write(process) if inode in inodes]
    if not opened:
        return False
    try:
        table = mountinfo.parse((process / "mountinfo").read_bytes())
    except OSError:
        return False
    devices = {mount.number: os.makedev(mount.major, mount.minor) for mount in table}
    # The device number of btrfs and overlays is not the one that stat(2) reports (major 0).
    return any(
        node.inode == inode
        and (devices.get(mount) == node.device or (os.major(node.device) == 0 and mount in devices))
        for node in nodes
        for inode, mount in opened
    )


def _open_to_write(process: Path) -> Iterator[tuple[int, int]]:
    """Yield inode and mount of each descriptor that a process may write through (proc(5))."""
    try:
        numbers = os.listdir(process / "fd")  # noqa: PTH208 (numbers)
    except OSError:
        # It has ended, or is a different user's.
        return
    for number in numbers:
        try:
            # Most are sockets, pipes and the like, which have no path.
            if not os.readlink(process / "fd" / number).startswith("/"):  # noqa: PTH115 (text only)
                continue
            table = (process / "fdinfo" / number).read_text(errors="replace")
        except OSError:
            # It was closed.
            continue
        fields = dict(re.findall(r"^(flags|mnt_id|ino):\s*(\d+)$", table, re.MULTILINE))
        flags = int(fields.get("flags", "0"), 8)
        if "ino" in fields and not flags & os.O_PATH and flags & os.O_ACCMODE != os.O_RDONLY:
            yield int(fields["ino"]), int(fields["mnt_id"])
