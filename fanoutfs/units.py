"""Convert sizes and times to and from text; the units in which they are counted."""

import re

from fanoutfs.errors import UsageError

KIB = 1024
MIB = 1024 * KIB

SECTOR = 512
"""The least that can be read or written of nearly all disks; of the others a page."""

PAGE = 4096
"""Block sizes are multiples of this: O_DIRECT needs memory and lengths aligned so on every disk in use."""

ANY_SIZE = 1 << 60
"""Bytes: the size of a pipe whose end is not known yet; no pipe is that long."""

_UNITS = {"": 1, "K": KIB, "M": MIB, "G": 1024 * MIB, "T": 1024**4, "P": 1024**5}

_SECONDS = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(text: str) -> int:
    """Return the bytes that ``text`` names: a number, followed by K, M, G, T, P (powers of 1024) or nothing.

    Raises UsageError for anything else, zero included.
    """
    found = re.fullmatch(r"\s*(\d+)\s*([KMGTP]?)(?:i?B)?\s*", text, re.IGNORECASE | re.ASCII)
    if found is None or int(found[1]) == 0:
        raise UsageError(f"{text!r} is not a size; write it as 512K, 64M or 2G")
    return int(found[1]) * _UNITS[found[2].upper()]


def parse_seconds(value: object) -> float:
    """Return the seconds that a number, or a text such as 90, 1.5s, 5m, 2h, 1d or 0.2ms, names.

    Raises UsageError for anything else, and for less than zero.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(ms|[smhd]?)\s*", str(value), re.IGNORECASE | re.ASCII)
    if found is None:
        raise UsageError(f"{value!r} is not a time; write it as 90, 1.5s, 5m or 2h")
    return float(found[1]) * _SECONDS[found[2].lower()]


def format_size(count: int) -> str:
    """Return ``count`` bytes as text for people, in the largest unit that keeps the number at 1 or more."""
    if count == ANY_SIZE:
        return "an unknown size"
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if size < KIB or unit == "PiB":
            break
        size /= KIB
    return f"{count} B" if unit == "B" else f"{size:.4g} {unit}"


def format_seconds(seconds: float) -> str:
    """Return a time as text for people, in its two largest units."""
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
