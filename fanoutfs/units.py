"""Sizes and times as text, and the units that they are counted in."""

import re

from fanoutfs.errors import UsageError

KIB = 1024
MIB = 1024 * KIB

PAGE = 4096
"""A block is a whole number of these: O_DIRECT wants memory and length so aligned on every disk in use."""

_UNITS = {"": 1, "K": KIB, "M": MIB, "G": 1024 * MIB, "T": 1024**4, "P": 1024**5}


def parse_size(text: str) -> int:
    """Give the bytes that ``text`` names: a number, and behind it K, M, G, T, P (powers of 1024) or nothing.

    Raises UsageError for anything else, zero included.
    """
    found = re.fullmatch(r"\s*(\d+)\s*([KMGTP]?)(?:i?B)?\s*", text, re.IGNORECASE | re.ASCII)
    if found is None or int(found[1]) == 0:
        raise UsageError(f"{text!r} is not a size; write it as 512K, 64M or 2G")
    return int(found[1]) * _UNITS[found[2].upper()]


def format_size(count: int) -> str:
    """Write ``count`` bytes as people read them, in the largest unit that keeps a digit before the point."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < KIB or unit == "PiB":
            break
        size /= KIB
    return f"{count} B" if unit == "B" else f"{size:.4g} {unit}"


def format_seconds(seconds: float) -> str:
    """Write a time as people read it, in the two largest units that matter."""
    if seconds < 1:
        return f"{seconds:.2g} s"
    if seconds < 60:  # noqa: PLR2004 (seconds of a minute)
        return f"{seconds:.3g} s"
    minutes, hours, days = round(seconds / 60), round(seconds / 3600), 86400
    if minutes < 60:  # noqa: PLR2004 (minutes of an hour)
        whole = round(seconds)
        return f"{whole // 60} min {whole % 60:02} s"
    if seconds < 2 * days:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{hours // 24} d {hours % 24:02} h"
