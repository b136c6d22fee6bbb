"""What nbdinfo lists of an export's holes."""

import json
from typing import Any

import pytest

from fanoutfs.ranges import Range
from fanoutfs.remote.export_map import parse_map


def extents(*found: tuple[int, int, int]) -> str:
    return json.dumps([{"offset": at, "length": length, "type": kind} for at, length, kind in found])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (extents((0, 10, 3), (10, 5, 0), (15, 85, 2)), [(10, 5)]),
        (extents((0, 10, 0), (10, 5, 1), (15, 85, 3)), [(0, 15)]),
        (extents((0, 100, 3)), []),
    ],
)
def test_what_reads_as_zeros_is_no_data(text: str, expected: list[Range]) -> None:
    """A hole without that promise is data: a disk may return what it had there."""
    assert parse_map(text, 100) == expected


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[1]", "[{}]", "[]", extents((0, 99, 0)), extents((0, 50, 0), (51, 49, 3)),
     extents((0, 60, 0), (50, 50, 3)), extents((0, 200, 3)), extents((0, 0, 3), (0, 100, 3))],
)  # fmt: skip
def test_a_list_that_does_not_cover_the_export_is_refused(text: Any) -> None:
    """What it leaves out could be taken for zeros."""
    with pytest.raises(ValueError, match=r"."):
        parse_map(text, 100)
