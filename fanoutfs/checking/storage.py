"""What lies on what: block devices and files as a graph, and which of them share bytes. No I/O, no clock.

A *storage* is a block device or a regular file. It is known by its identity, which is that of
``Source.identity``: ``disk-8:16``, or ``file-8:2-131`` (the device of its file system, and its inode).

Storages lie on others in two ways:

    loop0p1  ==>  loop0  ==>  /srv/a.img  -->  sda2  ==>  sda
    vg-root  -->  sda3   ==>  sda

*Byte for byte* (==>): byte X of a partition is byte start + X of its disk, and so with a loop device and its
backing file. *Somewhere* (-->): a file in its file system, a volume of LVM, md or dm on its members.

Two storages share bytes when, going down from both, one comes to the same bytes of a third, and at least one
of the two ways is byte for byte: then all that is there belongs to that one. Where both ways lead somewhere
(two files of one file system, two LVM volumes on one disk), who manages the third keeps them apart. So two
partitions of a disk share nothing; a disk and its partition do, and so do two loop devices on one file,
unless their offsets keep them apart.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import attrs

Kind = Literal["disk", "partition", "loop", "md", "LVM", "crypt", "multipath", "dm"]

STACKED: frozenset[Kind] = frozenset({"md", "LVM", "crypt", "multipath", "dm"})
"""Kinds that take their members for themselves."""


@attrs.frozen(kw_only=True)
class Piece:
    """What a storage lies on: the bytes from ``begin`` to ``end`` of a different storage."""

    base: str
    begin: float = 0
    end: float = math.inf
    exact: bool = False
    """Byte for byte; otherwise somewhere in there."""
    files: bool = False
    """``base`` holds a file system, and the storage is a file in it."""


@attrs.frozen(kw_only=True)
class Device:
    """A block device as /sys shows it; bytes."""

    name: str
    """The kernel's, such as sda1."""
    kind: Kind
    size: int
    read_only: bool = False
    mapped: str = ""
    """The name that device-mapper knows it by."""
    generation: int = 0
    """It differs for each medium or disk that has had this device number; 0 if the kernel keeps no count."""


@attrs.frozen
class Mounted:
    """A storage that holds a mounted file system, or, of fanoutfs, that is served."""

    storage: str
    point: str
    """Empty: mounted where this process can't see it."""
    kind: str


@attrs.frozen
class Overlap:
    """Where two storages share bytes: the chain down to there from each, both ends included."""

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
    """Of files: where they were found."""
    mounted: Sequence[Mounted] = ()
    swaps: Sequence[str] = ()

    def name(self, storage: str) -> str:
        """Return the path by which a user knows it."""
        device = self.devices.get(storage)
        if device is None:
            return self.paths.get(storage, storage)
        return f"/dev/mapper/{device.mapped}" if device.mapped else f"/dev/{device.name}"

    def disk_of(self, storage: str) -> str:
        """Return the whole disk of a partition; any other storage is its own."""
        device = self.devices.get(storage)
        return self.lies_on[storage][0].base if device and device.kind == "partition" else storage

    def below(self, storage: str) -> set[str]:
        """Return all that it lies on, file systems apart; itself is not among them."""
        return {extent.chain[-1] for extent in self._extents(storage, files=False)} - {storage}

    def overlap(self, first: str, second: str, *, files: bool = True) -> Overlap | None:
        """Return where two storages share bytes, by the shortest ways; None when they don't.

        Without ``files``, what a file lies on does not count: then a file on a disk shares nothing with it.
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
        """Go down from a storage: first itself, then every piece below, each by its chain."""
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
