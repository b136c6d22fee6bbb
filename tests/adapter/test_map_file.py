"""The file of ``--mapfile``."""

import os
from pathlib import Path

import pytest

from fanoutfs.errors import UnusableError
from fanoutfs.source.map_file import MapFile
from fanoutfs.source.mapfile import Mapfile, Region, Status

GIVEN = Mapfile((Region(0, 512, Status.FINISHED), Region(512, 512, Status.BAD)))


def test_a_map_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """It keeps its mode, a link to it stays a link, and nothing else is left in the folder."""
    path, link = tmp_path / "disk.map", tmp_path / "link"
    path.write_text(GIVEN.format())
    path.chmod(0o640)
    link.symlink_to(path)
    file, found = MapFile.open(link, 1024)
    assert GIVEN == found
    new = Mapfile((Region(0, 1024, Status.BAD),))
    file.write(new, ("a comment",))
    inode = path.stat().st_ino
    file.write(new, ("a comment",))
    assert path.stat().st_ino == inode
    file.close()
    assert new.format(["a comment"]) == path.read_text()
    assert path.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk.map", "link"]


@pytest.mark.parametrize("content", [None, "", "# nothing yet\n"])
def test_a_map_that_says_nothing(tmp_path: Path, content: str | None) -> None:
    """A file that is missing or empty is written anew."""
    path = tmp_path / "disk.map"
    if content is not None:
        path.write_text(content)
    file, found = MapFile.open(path, 1024)
    assert not found.regions
    file.write(GIVEN, ())
    file.close()
    assert GIVEN == Mapfile.parse(path.read_text())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("junk", "is not a map of GNU ddrescue: line 1"),
        ("\0" * 512, "is not a map"),
        (GIVEN.format(), "is of a source of 1024 bytes, this one has 2048"),
    ],
)
def test_what_is_no_map_of_this_source(tmp_path: Path, content: str, why: str) -> None:
    """It is refused, and stays as it is."""
    path = tmp_path / "disk.map"
    path.write_text(content)
    with pytest.raises(UnusableError, match=why):
        MapFile.open(path, 2048)
    assert path.read_text() == content


@pytest.mark.parametrize("name", ["missing/disk.map", ".", "pipe"])
def test_where_no_file_can_be(tmp_path: Path, name: str) -> None:
    """A folder that does not exist, a folder, and a pipe are refused without waiting."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UnusableError, match="--mapfile"):
        MapFile.open(tmp_path / name, 1024)
