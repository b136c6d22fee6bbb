"""Sources with bad places: retried, reported, recorded in a map; and sources that are made for tests."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory, PatternFactory, Refused, opened
from tests.ports import free_port
from tests.rig.commands import fanoutfs, run
from tests.rig.copies import Copies, lines, written
from tests.rig.images import MIB, SECTOR, check_pattern, pattern

SIZE = 4 * MIB + 512


def test_a_pattern_is_read_once_for_a_mount_and_copies(mount: MountFactory, work: Path) -> None:
    """A copy of the same pattern in a different shell joins the producer of its mount."""
    source = f"pattern:{SIZE}"
    mounted = mount(Path(source), "--ring", "8M")
    fanoutfs("copy", source, work / "a", work / "b")
    for copy in (work / "a", work / "b", mounted.image):
        check_pattern(copy.read_bytes(), 0)
    assert mounted.source_bytes() == SIZE


def test_a_target_that_is_the_source_behind_the_faults(pattern_image: PatternFactory, copies: Copies) -> None:
    """It is refused, as it is without faults; and one bad sector fails a copy."""
    source = pattern_image(SIZE)
    done = copies.run(Path(f"faulty:delay=0s:{source}"), source, code=1)
    assert b"is the source" in done.stderr
    copies.expected.append("source|copy")
    done = copies.run(Path(f"faulty:eio@1M+512,delay=2ms:{source}"), copies.folder / "copy", code=1)
    assert b"FAILED: the source can't be read" in done.stderr


BAD_SIZE = 16 * MIB + 1000
BAD = [0, 7 * MIB - SECTOR, *(number * 401 * SECTOR for number in range(3, 40)), BAD_SIZE // SECTOR * SECTOR]
"""Forty bad sectors, the first and the last of the source among them."""

PIECE = 32 * 1024
RECIPE = ",".join(f"eio@{at}" for at in sorted(BAD))
WARNINGS = [r"source|reading|copy"]


def expected_with_zeros() -> bytes:
    """Return what readers get with zeros in place of the bad sectors."""
    content = bytearray(pattern(0, BAD_SIZE))
    for at in BAD:
        content[at : at + SECTOR] = bytes(len(content[at : at + SECTOR]))
    return bytes(content)


def read_sectors(image: Path) -> tuple[bytes, list[int]]:
    """Read an image with O_DIRECT, in sectors where larger reads fail; return also where those fail."""
    content, failed = bytearray(BAD_SIZE), []
    with opened(image, os.O_DIRECT) as descriptor:
        for at in range(0, BAD_SIZE, PIECE):
            try:
                content[at : at + PIECE] = os.pread(descriptor, PIECE, at)
            except OSError:
                for sector in range(at, min(at + PIECE, BAD_SIZE), SECTOR):
                    try:
                        content[sector : sector + SECTOR] = os.pread(descriptor, SECTOR, sector)
                    except OSError:
                        failed.append(sector)
    return bytes(content), failed


def test_exactly_the_bad_sectors_fail(mount: MountFactory) -> None:
    """Readers of the bad sectors get EIO, and all other sectors are right; several read at once."""
    mounted = mount(Path(f"faulty:{RECIPE}:pattern:{BAD_SIZE}"), "--ring", "4M", expected=WARNINGS)
    with ThreadPoolExecutor() as readers:
        found = list(readers.map(read_sectors, [mounted.image] * 2))
    assert [sorted(BAD)] * 2 == [failed for _, failed in found]
    assert {expected_with_zeros()} == {content for content, _ in found}


def test_zeros_in_place_of_bad_sectors(copies: Copies, work: Path) -> None:
    """Each target has zeros exactly there, verified or not; the places are named, and the exit code is 3."""
    copies.expected += WARNINGS
    targets = [work / name for name in "abcd"]
    source = Path(f"faulty:{RECIPE}:pattern:{BAD_SIZE}")
    done = copies.run(source, *targets, "--verify", "--ring", "4M", "--on-read-error", "zero", code=3)
    size = 39 * SECTOR + BAD_SIZE % SECTOR
    for target in targets:
        assert expected_with_zeros() == target.read_bytes()
        line = lines(done)[str(target)]
        assert line.startswith("DONE WITH ZEROS: ")
        assert (
            f"{size / 1024:.4g} KiB in 40 places can't be read and became zeros: bytes 0 to before 512, "
            in line
        )
        assert line.endswith("and 20 other places")
    assert b"0 of 4 copies are good; 4 with zeros; " in done.stderr
    again = copies.run(source, targets[0], "--resume", "--on-read-error", "zero", code=3)
    assert written(lines(again)[str(targets[0])]) == "nothing"


def test_a_copy_that_fails_names_the_place_and_the_remedy(copies: Copies, work: Path) -> None:
    """By default a bad sector fails a copy, which says where, and how to copy the rest."""
    copies.expected += WARNINGS
    done = copies.run(Path(f"faulty:eio@3M:pattern:{BAD_SIZE}"), work / "copy", code=1)
    line = lines(done)[str(work / "copy")]
    assert f"FAILED: the source can't be read from byte {3 * MIB} to before {3 * MIB + SECTOR}: " in line
    assert "--on-read-error zero" in line


def test_a_bad_area_is_left_and_read_at_the_end(copies: Copies, work: Path) -> None:
    """A copy reads on behind a slow bad area within seconds, and finds its edges at the end."""
    copies.expected += [*WARNINGS, "left for later"]
    begin, end = 2 * MIB + 2 * SECTOR, 2 * MIB + 6 * SECTOR
    place = f"{begin}+{end - begin}"
    source = Path(f"faulty:delay=1s@{place},eio@{place}:pattern:{BAD_SIZE}")
    done = copies.run(source, work / "copy", "--on-read-error", "zero", code=3)
    assert f"bytes {begin} to before {end}" in lines(done)[str(work / "copy")]
    content = bytearray(pattern(0, BAD_SIZE))
    content[begin:end] = bytes(end - begin)
    assert content == (work / "copy").read_bytes()
    assert "reading on" in copies.log_text()


@pytest.mark.tool("ddrescuelog")
def test_a_map_of_bad_places(mount: MountFactory, work: Path) -> None:
    """`ddrescuelog` reads the map; a map that is given says what is bad, and that is not touched."""
    path, source = work / "disk.map", Path(f"faulty:{RECIPE}:pattern:{BAD_SIZE}")
    mounted = mount(source, "--mapfile", path, "--on-read-error", "zero", "--ring", "4M", expected=WARNINGS)
    assert expected_with_zeros() == mounted.image.read_bytes()
    shown = (mounted.point / ".fanoutfs" / "mapfile").read_text()
    status = mounted.status()["source"]
    size = 39 * SECTOR + BAD_SIZE % SECTOR
    assert (40, size, 0) == (status["bad_places"], status["bad_bytes"], status["left_bytes"])
    described = fanoutfs("status", mounted.point).stdout.decode()
    assert f"40 bad places ({size / 1024:.4g} KiB, zeros for readers)" in described
    mounted.close()
    assert shown == path.read_text()
    listed = run("ddrescuelog", "--list-blocks=-", path).stdout.split()
    assert sorted(at // SECTOR for at in BAD) == sorted(map(int, listed))

    again = mount(source, "--mapfile", path, "--ring", "4M", expected=WARNINGS)
    with opened(again.image, os.O_DIRECT) as descriptor:
        with pytest.raises(OSError, match="Input/output"):
            os.pread(descriptor, 4096, 0)
        assert pattern(SECTOR, 4096) == os.pread(descriptor, 4096, SECTOR)
    assert again.status()["source"]["errors"] == 0


def test_maps_that_are_refused(refused: Refused, pattern_image: PatternFactory, work: Path) -> None:
    """A map is neither the source, nor inside the mount, nor that of a different source."""
    source = pattern_image(MIB)
    (work / "other").write_text("0 ? 1\n0 512 -\n")
    assert "is the source" in refused("--mapfile", source, source)
    assert "is of a source of 512 bytes" in refused("--mapfile", work / "other", source)
    assert "can't be" in refused("--mapfile", work / "missing" / "map", source)
    done = fanoutfs("copy", "--mapfile", work / "copy", source, work / "copy", code=1)
    assert b"is the map of bad places" in done.stderr
    assert not (work / "copy").exists()


@pytest.mark.tool("ddrescuelog")
def test_a_copy_leaves_a_map(copies: Copies, work: Path) -> None:
    """When the command has ended, the map is on the disk."""
    copies.expected += WARNINGS
    source = Path(f"faulty:eio@3M:pattern:{BAD_SIZE}")
    copies.run(source, work / "copy", "--on-read-error", "zero", "--mapfile", work / "map", code=3)
    listed = run("ddrescuelog", "--list-blocks=-", work / "map").stdout.split()
    assert [3 * MIB // SECTOR] == [int(number) for number in listed]


@pytest.mark.tool("nbdkit")
@pytest.mark.parametrize(("policy", "code"), [("zero", 3), ("fail", 1)])
def test_a_bad_sector_on_another_computer(
    mount: MountFactory, copies: Copies, work: Path, policy: str, code: int
) -> None:
    """A copy from the service of a mount fails at its bad sector, or says that there are zeros there."""
    copies.expected += WARNINGS
    source = Path(f"faulty:eio@3M:pattern:{BAD_SIZE}")
    port, export = free_port(), free_port()
    network = ("--listen", f"127.0.0.1:{port}", "--export", f"127.0.0.1:{export}")
    mount(source, "--on-read-error", policy, *network, expected=WARNINGS)
    url = f"http://127.0.0.1:{port}"
    done = fanoutfs("copy", "--log", work / "log", url, work / "copy", code=code)
    said = done.stderr.decode()
    if policy == "zero":
        assert f"512 B of {url} can't be read there, and became zeros, here too" in said
    else:
        assert f"FAILED: the source can't be read from byte {3 * MIB} to before {3 * MIB + SECTOR}: " in said


def test_a_place_where_the_source_hangs(mount: MountFactory) -> None:
    """Its readers get EIO within the limit, those of other places go on, and the mount can be unmounted."""
    source = Path(f"faulty:hang@9M:pattern:{BAD_SIZE}")
    mounted = mount(source, "--ring", "8M", "--source-timeout", "1s", expected=[r"source|hangs"])
    with opened(mounted.image, os.O_DIRECT) as descriptor:
        with pytest.raises(OSError, match="Input/output"):
            os.pread(descriptor, MIB, 9 * MIB)
        for at in (0, 5 * MIB, 15 * MIB):
            assert pattern(at, MIB) == os.pread(descriptor, MIB, at)
        with pytest.raises(OSError, match="Input/output"):
            os.pread(descriptor, 4096, 9 * MIB + 4096)
