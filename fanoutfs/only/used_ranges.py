"""What of a disk is used, from its partitions and what each file system leaves free. No I/O, no clock.

Everything is used, but

- what a file system says is free, and lies in its partition alone;
- the inner part of a large space that belongs to no partition. Its ends are used: boot loaders, the second
  partition table, the metadata of arrays. Within an extended partition all such space is used: it holds the
  chain of the tables of its partitions.

So whatever is not understood is copied: a volume of LVM or LUKS, swap, what lies behind a file system that is
smaller than its partition.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from fanoutfs.only.partition_table import Partition
from fanoutfs.ranges import Range
from fanoutfs.units import MIB

LARGE = 64 * MIB
"""Bytes; smaller space between partitions is copied whole. Boot loaders of small boards need up to 16 MiB."""

END = MIB
"""Bytes at either end of larger space that are copied."""


def overlapping(partitions: Sequence[Partition]) -> set[Partition]:
    """Return the partitions that share bytes with others, other than with the extended one around them."""
    found: set[Partition] = set()
    reached: Partition | None = None
    for partition in partitions:
        if partition.is_container:
            continue
        if reached is not None and partition.begin < reached.end:
            found |= {reached, partition}
        if reached is None or partition.end > reached.end:
            reached = partition
    return found


def unpartitioned(partitions: Sequence[Partition], size: int) -> list[Range]:
    """Return the bytes of large space, without its ends, that belongs to no partition."""
    found, at = [], 0
    for partition in [*sorted(partitions, key=lambda one: one.begin), Partition("", size, size)]:
        if partition.begin - at > LARGE:
            found.append((at + END, partition.begin - at - 2 * END))
        at = max(at, partition.end)
    return found


def used(size: int, unused: Iterable[Range]) -> list[Range]:
    """Return what of ``size`` bytes is in none of the ranges; these may have any order."""
    found, at = [], 0
    for begin, length in [*sorted(unused), (size, 0)]:
        if begin > at:
            found.append((at, begin - at))
        at = max(at, begin + length)
    return found


def within(ranges: Iterable[Range], begin: int, end: int) -> Iterator[Range]:
    """Yield the parts of ranges that lie in [begin, end)."""
    for offset, length in ranges:
        low, high = max(offset, begin), min(offset + length, end)
        if low < high:
            yield low, high - low


def unused(
    partitions: Sequence[Partition], free: Mapping[Partition, Sequence[Range]], size: int
) -> list[Range]:
    """Return what is not used; ``free`` is what each file system says, by its partition."""
    shared = overlapping(partitions)
    found = unpartitioned(partitions, size) if partitions else []
    for partition, ranges in free.items():
        if partition not in shared:
            found += within(ranges, partition.begin, partition.end)
    return found
