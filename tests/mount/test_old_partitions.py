"""A copy to a disk of which the system has partitions: it does not keep those that are gone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.conftest import opened
from tests.rig.commands import run, shell
from tests.rig.copies import SMALL, Copies
from tests.rig.images import MIB
from tests.rig.loops import attached

pytestmark = pytest.mark.tool("sfdisk", "partx")

SIZE = 4 * MIB

SCANNED, NOT_SCANNED = ("--partscan",), ()
"""Options of losetup: whether the kernel looks for partitions on the device by itself."""


@pytest.fixture
def disk(request: pytest.FixtureRequest, work: Path) -> Iterator[Path]:
    """Attach a disk as large as the image; the system has two partitions of it."""
    path = work / "disk"
    path.write_bytes(bytes(SIZE))
    shell("printf 'size=1M\\nsize=1M\\n' | sfdisk --quiet \"$1\"", path)
    with attached(path, *request.param) as device:
        run("partx", "--add", device)
        assert [1, 2] == partitions(device)
        yield device
        run("partx", "--delete", device, code=None)


def partitions(disk: Path) -> list[int]:
    """Return the numbers of the partitions that the system has of a disk."""
    folder = Path("/sys/block", disk.name)
    return sorted(int(path.read_text()) for path in folder.glob(f"{disk.name}p*/partition"))


@pytest.mark.parametrize(
    ("disk", "said"),
    [(SCANNED, ""), (NOT_SCANNED, "to add those that were copied: partx --add {disk}\n")],
    indirect=["disk"],
)
def test_they_are_gone(disk: Path, copies: Copies, source: Path, said: str) -> None:
    """The list is read again, or cleared with a line that says how to fill it."""
    done = copies.run(source, disk, *SMALL)

    assert [] == partitions(disk)
    assert source.read_bytes() == disk.read_bytes()
    assert said.format(disk=disk) == done.stderr.decode().rpartition("; ")[2]


@pytest.mark.parametrize("disk", [SCANNED, NOT_SCANNED], indirect=True)
def test_one_is_in_use(disk: Path, copies: Copies, source: Path) -> None:
    """A line says so, with what to do; the copy is good all the same."""
    with opened(f"{disk}p2"):
        done = copies.run(source, disk, *SMALL)

    assert 2 in partitions(disk)
    assert f"the system still has the partitions that were on {disk} before" in done.stderr.decode()
    assert 1 == done.stderr.count(b"\n")
    assert source.read_bytes() == disk.read_bytes()


@pytest.mark.parametrize("disk", [SCANNED], indirect=True)
def test_a_copy_to_a_partition(disk: Path, copies: Copies, small: Path) -> None:
    """The disk's partitions are what they were."""
    target = Path(f"{disk}p2")
    done = copies.run(small, target, *SMALL)

    assert b"" == done.stderr
    assert [1, 2] == partitions(disk)
    assert small.read_bytes() == target.read_bytes()
