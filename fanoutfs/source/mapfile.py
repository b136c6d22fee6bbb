"""The mapfile of GNU ddrescue, as text and values: the bytes that are good, bad, or to be tried. No I/O.

The format is that of the section "Mapfile structure" of ddrescue's manual: comments begin with "#", the first
other line has the current position, status and pass, and each line after it a region: position, size, status.
Numbers are written as in C. The regions adjoin; the first need not begin at 0. In a domain map, "+" is what
lies inside.
"""

import enum
import re
from collections.abc import Iterable
from typing import Self

import attrs

from fanoutfs.ranges import Range, joined


class Status(enum.Enum):
    """The status of a region, by its letter."""

    UNTRIED = "?"
    NON_TRIMMED = "*"
    """A read of it failed; where it fails is not known yet."""
    NON_SCRAPED = "/"
    """Its edges are known to be bad; what lies between was not tried sector by sector."""
    BAD = "-"
    FINISHED = "+"


class MapPhase(enum.Enum):
    """What ddrescue did last, by its letter."""

    COPYING = "?"
    TRIMMING = "*"
    SCRAPING = "/"
    RETRYING = "-"
    FILLING = "F"
    GENERATING = "G"
    FINISHED = "+"


class MapfileError(ValueError):
    """The text is not a mapfile; the message names the line."""


@attrs.frozen
class Region:
    """Adjoining bytes of one status."""

    begin: int
    size: int
    status: Status

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.begin + self.size


_NUMBER = r"(0[xX][0-9a-fA-F]+|\d+)"
_POSITION = re.compile(rf"{_NUMBER}\s+([?*/\-FG+])(?:\s+(\d+))?", re.ASCII)
_REGION = re.compile(rf"{_NUMBER}\s+{_NUMBER}\s+([?*/\-+])", re.ASCII)

LARGEST = 2**63 - 1
"""Offsets beyond it don't exist."""


@attrs.frozen
class Mapfile:
    """What a mapfile says."""

    regions: tuple[Region, ...]
    """In order, without gaps."""
    position: int = 0
    phase: MapPhase = MapPhase.COPYING
    current_pass: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what the text says; raise MapfileError where ddrescue refuses it, too."""
        lines = [(number, line.partition("#")[0].strip()) for number, line in enumerate(text.split("\n"), 1)]
        lines = [(number, line) for number, line in lines if line]
        found = _POSITION.fullmatch(lines[0][1]) if lines else None
        if found is None:
            raise MapfileError(f"line {lines[0][0] if lines else 1} is not the status line of a ddrescue map")
        regions: list[Region] = []
        for number, line in lines[1:]:
            region = _region(number, line)
            if regions and regions[-1].end != region.begin:
                raise MapfileError(f"line {number} does not begin where the line before it ends")
            regions.append(region)
        if len(regions) > 1 and regions[0].size == 0:
            raise MapfileError("a region of no bytes")
        return cls(tuple(regions), _number(found[1]), MapPhase(found[2]), int(found[3] or 1))

    @property
    def end(self) -> int:
        """The first byte after all regions; 0 if there are none."""
        return self.regions[-1].end if self.regions else 0

    def ranges(self, *statuses: Status) -> list[Range]:
        """Return the bytes of these statuses as (offset, length), in order; adjoining ones merged."""
        return joined((region.begin, region.size) for region in self.regions if region.status in statuses)

    def format(self, comments: Iterable[str] = ()) -> str:
        """Return the text; each comment is one line."""
        lines = [
            *(f"# {comment}" for comment in comments),
            "# current_pos  current_status  current_pass",
            f"0x{self.position:08X}     {self.phase.value}               {self.current_pass}",
            "#      pos        size  status",
            *(f"0x{region.begin:08X}  0x{region.size:08X}  {region.status.value}" for region in self.regions),
        ]
        return "\n".join(lines) + "\n"


def _region(number: int, line: str) -> Region:
    found = _REGION.fullmatch(line)
    if found is None:
        raise MapfileError(f"line {number} is not a region: position, size, status (one of ? * / - +)")
    begin, size = _number(found[1]), _number(found[2])
    if begin + size > LARGEST or (size == 0 and begin > 0):
        raise MapfileError(f"line {number} has a size that is not possible")
    return Region(begin, size, Status(found[3]))


def _number(text: str) -> int:
    """Return the value of a number of C: hexadecimal, octal or decimal."""
    if text[:2] in ("0x", "0X"):
        return int(text, 16)
    try:
        return int(text, 8 if text.startswith("0") else 10)
    except ValueError as error:
        raise MapfileError(f"{text} is not a number") from error
