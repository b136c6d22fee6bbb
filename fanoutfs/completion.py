"""What Tab completes: disks, mount points, files.

All of it comes from the kernel's tables, /sys and /proc. No disk and no mount is accessed: one that hangs
would hang the shell. Files are listed by the shell itself.
"""

import os
from collections.abc import Callable, Collection
from pathlib import Path

import attrs
from click.shell_completion import CompletionItem

from fanoutfs.system.mountinfo import FANOUTFS, Mount, mounts, visible
from fanoutfs.units import format_size

DISKS = Path("/sys/block")

SECTOR = 512
"""Bytes; the unit of sizes in /sys, whatever the disk's sectors are."""

NO_DISKS = ("loop", "ram", "zram", "dm-", "fd")
"""How devices are named that are no disks, or have better names."""

Complete = Callable[[str, Collection[str]], list[CompletionItem]]
"""Return the items for the beginning of an argument; the collection has other arguments of the command."""


@attrs.frozen
class DiskName:
    """A whole disk, with its model and size."""

    path: str
    description: str
    read_only: bool = False


def disk_names(folder: Path = DISKS) -> list[DiskName]:
    """Return the whole disks that have a size, by name: a card reader without a card has none."""
    found = []
    for disk in _listing(folder):
        size = int(_text(disk / "size") or 0) * SECTOR
        if size and not disk.name.startswith(NO_DISKS):
            description = f"{_text(disk / 'device' / 'model')} {format_size(size)}".strip()
            # The kernel writes ! for a slash in a name.
            found.append(
                DiskName(f"/dev/{disk.name.replace('!', '/')}", description, _text(disk / "ro") == "1")
            )
    return found


def files(begun: str, _others: Collection[str] = ()) -> list[CompletionItem]:
    """Return the request that the shell lists files."""
    return [CompletionItem(begun, type="file")]


def folders(begun: str, _others: Collection[str] = ()) -> list[CompletionItem]:
    """Return the request that the shell lists folders."""
    return [CompletionItem(begun, type="dir")]


def sources(begun: str, others: Collection[str] = ()) -> list[CompletionItem]:
    """Return disks and files."""
    return _with_files(begun, others, disk_names())


def targets(begun: str, others: Collection[str] = ()) -> list[CompletionItem]:
    """Return disks that can be written, and files; neither the source nor what is a target already."""
    return _with_files(begun, others, [disk for disk in disk_names() if not disk.read_only])


def _with_files(begun: str, others: Collection[str], disks: list[DiskName]) -> list[CompletionItem]:
    found = [
        CompletionItem(disk.path, help=disk.description)
        for disk in disks
        if disk.path.startswith(begun) and disk.path != begun and disk.path not in others
    ]
    # In /dev the shell would list the same disks again.
    return found if found and begun.startswith("/dev/") else [*found, *files(begun)]


def mounted(begun: str, _others: Collection[str] = ()) -> list[CompletionItem]:
    """Return the mount points of fanoutfs that this user may ask, and their sources."""
    found = [mount for mount in visible(mounts()) if mount.kind == FANOUTFS and _may_ask(mount)]
    points = [CompletionItem(mount.point, help=mount.source) for mount in found]
    paths = [
        CompletionItem(mount.source, help=f"on {mount.point}") for mount in found if mount.source[:1] == "/"
    ]
    return [item for item in (*points, *paths) if item.value.startswith(begun)]


def mounted_or_files(begun: str, others: Collection[str] = ()) -> list[CompletionItem]:
    """Return mount points and their sources, else files: a source that is only copied has no mount."""
    return mounted(begun, others) or files(begun)


def _may_ask(mount: Mount) -> bool:
    return os.getuid() in (0, mount.user)


def _text(path: Path) -> str:
    """Read a file of /sys; empty if it is missing: devices differ, and any may disappear."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
