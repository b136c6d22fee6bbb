"""Sources that are compressed images: decompressed once, while they are read."""

import re
from pathlib import Path

import pytest

from tests.mount.conftest import MountFactory, PatternFactory
from tests.rig.commands import fanoutfs, run, shell
from tests.rig.images import MIB, assert_same

SIZE = 3 * MIB + 1234
COMPRESS = {
    "xz": 'xz -1 -c "$1" >"$2"',
    "zstd": 'zstd -q "$1" -o "$2"',
    "gzip": 'gzip -1 -c "$1" >"$2"',
    "bzip2": 'bzip2 -1 -c "$1" >"$2"',
    "lz4": 'lz4 -q "$1" "$2"',
    "zip": 'cd "${1%/*}" && python3 -m zipfile -c "$2" "${1##*/}"',
}

pytestmark = pytest.mark.tool("xz", "zstd", "gzip", "bzip2", "lz4", "unzip")


def compressed(source: Path, work: Path, kind: str) -> Path:
    """Compress an image to a file whose name says nothing."""
    path = work / "disk"
    shell(COMPRESS[kind], source, path)
    return path


@pytest.mark.parametrize("kind", COMPRESS)
def test_what_is_in_a_compressed_image_is_copied(
    pattern_image: PatternFactory, work: Path, kind: str
) -> None:
    """Whatever its name is; one line says what it was taken for. No spool is left."""
    source = pattern_image(SIZE)
    done = fanoutfs("copy", compressed(source, work, kind), work / "one", work / "two")

    assert_same(source, work / "one")
    assert_same(source, work / "two")
    assert re.search(
        rf"^fanoutfs: \S+ is an? {kind} image( of 3.* MiB)?; it is decompressed while it is read$",
        done.stderr.decode(),
        re.MULTILINE,
    )


@pytest.mark.parametrize("kind", ["xz", "gzip"])
def test_late_copies_of_a_mounted_image(
    pattern_image: PatternFactory, mount: MountFactory, work: Path, kind: str
) -> None:
    """It is decompressed once for all of them, and read anywhere; as it lies it is a different source."""
    source = pattern_image(SIZE)
    disk = compressed(source, work, kind)
    mounted = mount(disk)
    end = run("tail", "-c", 5000, mounted.image).stdout
    for name in "abcd":
        fanoutfs("copy", disk, work / name)
        assert_same(source, work / name)
    fanoutfs("copy", f"raw:{disk}", work / "raw")
    refused = fanoutfs("copy", "--yes", disk, disk, code=1).stderr.decode()

    assert end == source.read_bytes()[-5000:]
    assert_same(disk, work / "raw")
    assert "is the source" in refused


@pytest.mark.parametrize(("kind", "option"), [("xz", "fail"), ("xz", "zero"), ("gzip", "zero")])
def test_a_damaged_image_is_never_copied_completely(
    pattern_image: PatternFactory, work: Path, kind: str, option: str
) -> None:
    """Its checksum is found wrong when all of it has been read; the target stays without its first block."""
    disk = compressed(pattern_image(SIZE), work, kind)
    content = bytearray(disk.read_bytes())
    content[len(content) // 2] ^= 255
    disk.write_bytes(content)
    done = fanoutfs("copy", disk, work / "target", "--on-read-error", option, code=1)

    assert "FAILED" in done.stderr.decode()
    assert "zeros in its place" not in done.stderr.decode()
    assert not any((work / "target").read_bytes()[:4096])


def test_a_compressed_file_that_holds_no_disk(work: Path) -> None:
    """It is refused in one line, and nothing is written."""
    (work / "a").write_bytes(b"QFI\xfb\0\0\0\3".ljust(8192, b"\0"))
    shell('xz -c "$1" >"$2"', work / "a", work / "a.xz")
    done = fanoutfs("copy", work / "a.xz", work / "target", code=1)

    assert done.stderr.decode() == (
        f"fanoutfs: the source {work}/a.xz holds a qcow2 image, not a disk; unpack it first\n"
    )
    assert not (work / "target").exists()
