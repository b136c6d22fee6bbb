"""What may change a source while it is read: mounts of it, swap on it, programs that have it open to write.

Not a reason to refuse it: a copy of a disk in use is better than none. So the user is told, or decides.
"""

from collections.abc import Iterator

import attrs

from fanoutfs.checking import inspection
from fanoutfs.checking.inspection import System
from fanoutfs.checking.safety import RequestedTarget, in_relation
from fanoutfs.checking.storage import StorageGraph
from fanoutfs.errors import UnusableError
from fanoutfs.system.open_files import FileNode, writers

SHOWN = 4
"""How many uses of a kind are named at most: the message is one line."""


@attrs.frozen
class SourceUse:
    """What may change a source, each as a part of a sentence about it."""

    mounts: tuple[str, ...] = ()
    """The file systems on it that are mounted read-write."""
    others: tuple[str, ...] = ()
    """Swap, and programs."""

    def __str__(self) -> str:
        """Return all of it as a part of a line."""
        parts = [*_few(self.mounts), *_few(self.others)]
        return " and ".join(parts) if len(parts) < 3 else f"{', '.join(parts[:-1])}, and {parts[-1]}"  # noqa: PLR2004 (two need no comma)

    def __bool__(self) -> bool:
        return bool(self.mounts or self.others)


def find_use(path: str, system: System | None = None) -> SourceUse:
    """Return what may change the source at ``path`` now, as far as this user may see it."""
    system = system or System()
    try:
        found = inspection.read(path, (), system)
    except UnusableError:
        # Where /sys is hidden, nothing is known of what lies on what. A target would be refused.
        return SourceUse()
    source, machine = found.source, found.machine
    assert source is not None
    if not source.identity or source.kind not in ("disk", "file"):
        return SourceUse()
    swaps = (storage for storage in machine.swaps if machine.overlap(source.identity, storage, files=False))
    programs = writers(list(_nodes(source, machine, system)), system.proc)
    return SourceUse(
        tuple(_mounts(source, machine)),
        (
            *(f"{machine.name(storage)} is swap" for storage in swaps),
            *(f"{name or 'process'} (process {pid}) has it open for writing" for pid, name in programs),
        ),
    )


def _mounts(source: RequestedTarget, machine: StorageGraph) -> Iterator[str]:
    """Yield the mounts that write to a source."""
    for mounted in machine.mounted:
        overlap = (
            machine.overlap(source.identity, mounted.storage, files=False) if mounted.is_writable else None
        )
        if overlap is not None:
            place = f"read-write on {mounted.point}" if mounted.point else "elsewhere"
            yield f"{in_relation(overlap, machine)} is mounted {place}"


def _nodes(source: RequestedTarget, machine: StorageGraph, system: System) -> Iterator[FileNode]:
    """Yield what a program may open to write a source: itself, its disk, its partitions, volumes on it."""
    others = (
        f"/dev/{device.name}"
        for storage, device in machine.devices.items()
        if storage != source.identity and machine.overlap(source.identity, storage, files=False)
    )
    for path in (source.path, *others):
        try:
            status = system.stat(path)
        except OSError:
            # A device without a node, or that was unplugged.
            continue
        yield FileNode.of(status)


def _few(uses: tuple[str, ...]) -> list[str]:
    more = len(uses) - SHOWN
    return [*uses[:SHOWN], *([f"{more} more"] if more > 0 else [])]
