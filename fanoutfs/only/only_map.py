"""The file that ``--only`` names: a domain map of GNU ddrescue, or a block map of bmaptool."""

import os
import stat

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.only.bmap import Bmap, BmapError
from fanoutfs.ranges import Range
from fanoutfs.source.checked import RangeChecksum
from fanoutfs.source.mapfile import Mapfile, MapfileError, Status
from fanoutfs.units import MIB, format_size

LARGEST = 256 * MIB
"""Bytes of a map: some million ranges."""


@attrs.frozen
class OnlyMap:
    """What of an image is copied, in bytes."""

    path: str
    ranges: tuple[Range, ...]
    """Ascending, disjoint."""
    end: int
    """The image that it describes has as many bytes, or more."""
    checksums: tuple[RangeChecksum, ...] = ()


def read(path: str) -> OnlyMap:
    """Read a map; raise UnusableError if it is not one. Its content decides which kind it is."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:  # noqa: PTH123 (a descriptor)
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise UnusableError(f"the map {path} is not a file; name one with --only")
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise UnusableError(
            f"the map {path} can't be read: {reason(error)}; check its name and rights"
        ) from error
    if len(data) > LARGEST:
        raise UnusableError(f"the map {path} has more than {format_size(LARGEST)}: it is not one")
    return parse(path, data)


def parse(path: str, data: bytes) -> OnlyMap:
    """Return what a map says; raise UnusableError if it is not one, or lists nothing."""
    try:
        if data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            bmap = Bmap.parse(data)
            found = OnlyMap(path, bmap.ranges, bmap.size, bmap.checksums)
        else:
            mapfile = Mapfile.parse(data.decode())
            ranges = tuple(mapfile.ranges(Status.FINISHED))
            found = OnlyMap(path, ranges, sum(ranges[-1]) if ranges else 0)
    except (BmapError, MapfileError, UnicodeDecodeError) as error:
        message = f"the map {path} is neither a ddrescue map nor a .bmap that can be used: {error}"
        raise UnusableError(message) from error
    if not any(length for _, length in found.ranges):
        raise UnusableError(f"the map {path} lists nothing, so nothing would be copied")
    return found


def require_fit(found: OnlyMap, source: str, size: int) -> None:
    """Raise UnusableError for a map of an image that is larger than the source."""
    if found.end > size:
        raise UnusableError(
            f"the map {found.path} is for a different source: it reaches to byte {found.end}, but "
            f"{source} has {size} bytes"
        )
