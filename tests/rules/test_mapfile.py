"""The map of GNU ddrescue: what is read from it, and what is written."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanoutfs.source.mapfile import Mapfile, MapfileError, MapPhase, Region, Status

MAP = """\
# Mapfile. Created by GNU ddrescue version 1.27
# Command line: ddrescue /dev/sdb image map
# current_pos  current_status  current_pass
0x00010200     -               3
#      pos        size  status
0x00000000  0x00010000  +
0x00010000  0x00000200  -   # a sector
66048  01000 /
0x00010400  512  *

\t0x10600  0xFA00\t?
"""

READ = Mapfile(
    (
        Region(0, 0x10000, Status.FINISHED),
        Region(0x10000, 512, Status.BAD),
        Region(0x10200, 512, Status.NON_SCRAPED),
        Region(0x10400, 512, Status.NON_TRIMMED),
        Region(0x10600, 0xFA00, Status.UNTRIED),
    ),
    0x10200,
    MapPhase.RETRYING,
    3,
)

REFUSED = {
    "nothing": ("", "line 1"),
    "comments alone": ("# a\n\n# b\n", "line 1"),
    "no status line": ("# a\n0x0 0x200 +\n", "line 2"),
    "a status that is none": ("0 ? 1\n0 512 x\n", "line 2"),
    "a phase that is none": ("0 x 1\n0 512 +\n", "line 1"),
    "two numbers": ("0 ? 1\n0 512\n", "line 2"),
    "a word too many": ("0 ? 1\n0 512 + +\n", "line 2"),
    "a size below zero": ("0 ? 1\n0 -1 +\n", "line 2"),
    "a region of no bytes": ("0 ? 1\n512 0 +\n", "line 2"),
    "no octal number": ("0 ? 1\n0 089 +\n", "089"),
    "a gap": ("0 ? 1\n0 512 +\n1024 512 +\n", "line 3"),
    "an overlap": ("0 ? 1\n0 512 +\n# a\n256 512 +\n", "line 4"),
    "beyond all offsets": ("0 ? 1\n0 0xFFFFFFFFFFFFFFFF +\n", "line 2"),
}

ACCEPTED = {"nothing", "comments alone", "a word too many", "beyond all offsets"}
"""ddrescuelog takes these for an empty map, or for something else."""


def test_a_map_of_ddrescue() -> None:
    """Comments, octal, decimal and hexadecimal numbers are read as ddrescue reads them."""
    assert READ == Mapfile.parse(MAP)


def test_a_map_without_a_pass_that_begins_later() -> None:
    """Older versions write no pass, and a domain map may begin anywhere; "+" lies inside."""
    found = Mapfile.parse("0 ?\n0x100000 0x1000 +\n0x101000 4096 +\n0x102000 4096 ?\n0x103000 4096 +")
    assert [(0x100000, 8192), (0x103000, 4096)] == found.ranges(Status.FINISHED)
    assert found.end == 0x104000
    assert found.current_pass == 1


def test_ranges_of_several_statuses() -> None:
    """Adjoining regions of the statuses in question are one range."""
    assert [(0x10000, 1536)] == READ.ranges(Status.BAD, Status.NON_SCRAPED, Status.NON_TRIMMED)
    assert [(0x10000, 512), (0x10400, 512)] == READ.ranges(Status.BAD, Status.NON_TRIMMED)
    assert [] == Mapfile(()).ranges(*Status)


@pytest.mark.parametrize(("text", "where"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_map(text: str, where: str) -> None:
    """Text that ddrescue refuses is refused, with its line."""
    with pytest.raises(MapfileError, match=where):
        Mapfile.parse(text)


@st.composite
def _maps(draw: st.DrawFn) -> Mapfile:
    begin = draw(st.integers(0, 2**40))
    regions = []
    for size in draw(st.lists(st.integers(1, 2**40), min_size=1)):
        regions.append(Region(begin, size, draw(st.sampled_from(Status))))
        begin += size
    phase, number = draw(st.sampled_from(MapPhase)), draw(st.integers(1, 9))
    return Mapfile(tuple(regions), draw(st.integers(0, 2**40)), phase, number)


@given(_maps(), st.lists(st.text(st.characters(exclude_categories=["C", "Z"]))))
@settings(derandomize=True)
def test_what_is_written_is_read(mapfile: Mapfile, comments: list[str]) -> None:
    """A map that is written and read again is the same."""
    assert mapfile == Mapfile.parse(mapfile.format(comments))


@pytest.mark.tool("ddrescuelog")
def test_ddrescuelog_reads_what_is_written(tmp_path: Path) -> None:
    """ddrescuelog lists the same sectors of each status as the map that was written."""
    path = tmp_path / "map"
    path.write_text(READ.format(["written by a test"]))
    for status in Status:
        listed = subprocess.run(
            ["ddrescuelog", f"--list-blocks={status.value}", path], capture_output=True, text=True, check=True
        ).stdout.split()
        expected = [
            at // 512 for begin, size in READ.ranges(status) for at in range(begin, begin + size, 512)
        ]
        assert expected == [int(number) for number in listed]


@pytest.mark.tool("ddrescuelog")
@pytest.mark.parametrize("name", sorted(REFUSED.keys() - ACCEPTED))
def test_ddrescuelog_refuses_the_same(tmp_path: Path, name: str) -> None:
    """What is refused here is refused by ddrescuelog."""
    path = tmp_path / "map"
    path.write_text(REFUSED[name][0])
    assert subprocess.run(["ddrescuelog", "-t", path], capture_output=True, check=False).returncode
