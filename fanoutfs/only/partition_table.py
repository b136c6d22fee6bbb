"""The partitions of a disk or image, from what ``sfdisk --json`` prints. No I/O."""

import json

import attrs


@attrs.frozen
class Partition:
    """A partition: the bytes [begin, end) of its disk."""

    name: str
    """As sfdisk calls it: the disk's name and a number."""
    begin: int
    end: int
    is_container: bool = False
    """An extended partition, in which others lie."""


_CONTAINERS = ("5", "f", "85", "c5", "cf", "d5")
"""The types of extended partitions in an MBR, in hexadecimal digits."""

_SECTOR = 512
"""Bytes, where sfdisk does not print it (before util-linux 2.35)."""


def parse(text: bytes, size: int) -> tuple[Partition, ...]:
    """Return the partitions of a disk of ``size`` bytes, by their beginnings; raise ValueError.

    What lies beyond the end of the disk is cut off, or left out.
    """
    try:
        table = json.loads(text)["partitiontable"]
        sector = int(table.get("sectorsize", _SECTOR))
        found = []
        for entry in table.get("partitions", ()):
            begin = int(entry["start"]) * sector
            end = min(begin + int(entry["size"]) * sector, size)
            container = table.get("label") == "dos" and str(entry.get("type", "")).lower() in _CONTAINERS
            if begin < end:
                found.append(Partition(str(entry["node"]), begin, end, container))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not the output of sfdisk: {error}") from error
    return tuple(sorted(found, key=lambda partition: (partition.begin, partition.end)))
