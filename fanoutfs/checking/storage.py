"""Block devices and files as a graph: what lies on what, and which of them share bytes. No I/O, no clock.

A *storage* is a block device or a regular file. It has an identity, the same as ``Source.identity``:
``disk-8:16``, or ``file-8:2-131`` (the device of its file system, and its inode).

Storages lie on others in two ways:

    loop0p1  ==>  loop0  ==>  /srv/a.img  -->  sda2  ==>  sda
    vg-root  -->  sda3   ==>  sda

*Byte for byte* (==>): byte X of a partition is byte start + X of its disk; the same holds for a loop device
and its backing file. *Somewhere* (-->): a file in its file system, a volume of LVM, md or dm on its members.

Two storages share bytes if the chains down from both reach the same bytes of a third storage, and at least
one of the two chains is byte for byte: then all those bytes belong to that storage. If both chains lead
somewhere (two files in one file system, two LVM volumes on one disk), the file system or volume manager keeps
them apart. So two partitions of a disk share nothing; a disk and its partition do, and so do two loop devices
on one file, unless their offsets keep them apart.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import attrs

Kind = Literal["disk", "partition", "loop", "md", "LVM", "crypt", "multipath", "dm"]

STACKED: frozenset[Kind] = frozenset({"md", "LVM", "crypt", "multipath", "dm"})
"""Kinds that use their members exclusively."""


@attrs.frozen(kw_only=True)
class Piece:
    """What a storage lies on: the bytes ``begin`` to ``end`` of a different storage, its base."""

    base: str
    begin: float = 0
    end: float = math.inf
    exact: bool = False
    """Byte for byte; otherwise somewhere within these bytes."""
    files: bool = False
    """``base`` holds a file system, and the storage is a file in it."""


@attrs.frozen(kw_only=True)
class Device:
    """A block device as /sys shows it; bytes."""

    name: str
    """The kernel's name, such as sda1."""
    kind: Kind
    size: int
    read_only: bool = False
    mapped: str = ""
    """The device-mapper name."""
    generation: int = 0
    """Differs for each medium or disk that has had this device number; 0 if the kernel has no count."""


@attrs.frozen
class Mounted:
    """A storage that holds a mounted file system, or is the source of a fanoutfs mount."""

    storage: str
    point: str
    """Empty if it is mounted where this process can't see it."""
    kind: str
    is_writable: bool = True
    """Not mounted read-only, nor by fanoutfs."""


@attrs.frozen
class Overlap:
    """Where two storages share bytes: the chain from each down to them, both ends included."""

    first: tuple[str, ...]
    second: tuple[str, ...]


@attrs.frozen
class _Extent:
    chain: tuple[str, ...]
    begin: float
    end: float
    exact: bool

    def overlaps(self, other: "_Extent") -> bool:
        begin, end = max(self.begin, other.begin), min(self.end, other.end)
        return self.chain[-1] == other.chain[-1] and begin < end and (self.exact or other.exact)


@attrs.frozen(kw_only=True)
class StorageGraph:
    """All storages that matter at one moment."""

    devices: Mapping[str, Device]
    lies_on: Mapping[str, Sequence[Piece]]
    paths: Mapping[str, str] = attrs.field(factory=dict)
    """Where files were found."""
    mounted: Sequence[Mounted] = ()
    swaps: Sequence[str] = ()

    def name(self, storage: str) -> str:
        """Return the path of a storage, as users know it."""
        device = self.devices.get(storage)
        if device is None:
            return self.paths.get(storage, storage)
        return f"/dev/mapper/{device.mapped}" if device.mapped else f"/dev/{device.name}"

    def disk_of(self, storage: str) -> str:
        """Return the whole disk of a partition; for any other storage, itself."""
        device = self.devices.get(storage)
        return self.lies_on[storage][0].base if device and device.kind == "partition" else storage

    def below(self, storage: str) -> set[str]:
        """Return everything that a storage lies on other than through a file system, without itself."""
        return {extent.chain[-1] for extent in self._extents(storage, files=False)} - {storage}

    def overlap(self, first: str, second: str, *, files: bool = True) -> Overlap | None:
        """Return where two storages share bytes, by the shortest chains; None if they don't.

        Without ``files``, what a file lies on does not count: a file on a disk then shares nothing with it.
        """
        others = list(self._extents(second, files=files))
        found = [
            Overlap(one.chain, other.chain)
            for one in self._extents(first, files=files)
            for other in others
            if one.overlaps(other)
        ]
        return min(found, key=lambda overlap: len(overlap.first) + len(overlap.second), default=None)

    def _extents(self, storage: str, *, files: bool) -> Iterator[_Extent]:
        """Yield a storage, then everything below it, each with the chain that leads there."""
        todo = [_Extent((storage,), 0, math.inf, exact=True)]
        while todo:
            upper = todo.pop()
            yield upper
            for piece in self.lies_on.get(upper.chain[-1], ()):
                if piece.base in upper.chain or (piece.files and not files):
                    continue
                if piece.exact:
                    begin = piece.begin + upper.begin
                    lower = _Extent(
                        (*upper.chain, piece.base),
                        begin,
                        min(piece.begin + upper.end, piece.end),
                        upper.exact,
                    )
                else:
                    lower = _Extent((*upper.chain, piece.base), piece.begin, piece.end, exact=False)
                if lower.begin < lower.end:
                    todo.append(lower)
