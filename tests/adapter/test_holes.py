"""Where a sparse file has its data."""

import os
from pathlib import Path

import pytest

from fanoutfs.ranges import Range
from fanoutfs.source import holes
from fanoutfs.source.local import PositionedSource
from fanoutfs.units import MIB


def written(path: Path, size: int, *places: int) -> int:
    """Make a sparse file, with a MiB at each place; return its descriptor."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    os.truncate(fd, size)
    for place in places:
        os.pwrite(fd, b"x" * min(MIB, size - place), place)
    return fd


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ((), []),
        ((0,), [(0, MIB)]),
        ((3 * MIB, 4 * MIB, 9 * MIB), [(3 * MIB, 2 * MIB), (9 * MIB, MIB // 2)]),
        (tuple(range(0, 10 * MIB, MIB)), None),
    ],
)
def test_the_file_system_knows_where_the_data_is(
    tmp_path: Path, places: tuple[int, ...], expected: list[Range] | None
) -> None:
    """A file without holes has no ranges to mind; one without data has none."""
    os.close(written(tmp_path / "sparse", 9 * MIB + MIB // 2, *places))
    source = PositionedSource.open(str(tmp_path / "sparse"))

    assert source.data() == expected
    source.close()


@pytest.mark.parametrize(("limit", "value"), [("LOOK_RANGES", 2), ("LOOK_SECONDS", 0.0)])
def test_what_was_not_looked_at_counts_as_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    """The search ends after so many ranges, or so long; the rest is read."""
    monkeypatch.setattr(holes, limit, value)
    fd = written(tmp_path / "sparse", 10 * MIB, MIB, 3 * MIB, 5 * MIB)
    found = holes.data_ranges(fd, 10 * MIB)
    os.close(fd)

    assert found is not None
    assert (found[0], sum(found[-1])) == ((MIB, MIB), 10 * MIB)
