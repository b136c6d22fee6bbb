"""Which parts of an export hold data, as nbdinfo lists them (NBD's base:allocation). No I/O, no clock."""

import json

from fanoutfs.ranges import Range, joined

READS_AS_ZEROS = 2
"""A bit of an extent's type: the bytes are zeros. Bit 1 says only that no space is allocated for them."""


def parse_map(text: str | bytes, size: int) -> list[Range]:
    """Return the ranges that may not be zeros; raise ValueError for a list that is not of ``size`` bytes."""
    extents = json.loads(text)
    end = 0
    found: list[Range] = []
    try:
        for extent in extents:
            if extent["offset"] != end or extent["length"] <= 0:
                raise ValueError(f"its extents do not adjoin at byte {end}")
            if not extent["type"] & READS_AS_ZEROS:
                found.append((end, extent["length"]))
            end += extent["length"]
    except (TypeError, LookupError) as error:
        raise ValueError("it is not a list of extents") from error
    if end != size:
        raise ValueError(f"it ends at byte {end}, not at {size}")
    return joined(found)
