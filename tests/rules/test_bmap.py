"""Block maps of bmaptool: what they list, and what is refused."""

import hashlib

import pytest

from fanoutfs.only.bmap import Bmap, BmapError
from fanoutfs.source.checked import RangeChecksum

RANGES = '<Range chksum="AB"> 0-1 </Range><Range chksum="cd">2</Range><Range> 7-9 </Range>'


def bmap(
    ranges: str = RANGES, *, version: str = "2.0", mapped: int = 6, size: int = 39000, checksum: str = ""
) -> bytes:
    """Return a map of ten blocks, the last of which is shorter; ``checksum`` of itself, by default right."""
    own, kind = ("BmapFileSHA1", "sha1") if version == "1.3" else ("BmapFileChecksum", "sha256")
    length = hashlib.new(kind).digest_size * 2
    text = f"""<?xml version="1.0" ?>
<bmap version="{version}"> <ImageSize> {size} </ImageSize> <BlockSize> 4096 </BlockSize>
<BlocksCount> 10 </BlocksCount> <MappedBlocksCount> {mapped} </MappedBlocksCount>
<ChecksumType> {kind} </ChecksumType> <{own}> {"0" * length} </{own}>
<BlockMap> {ranges} </BlockMap> </bmap>"""
    checksum = checksum or hashlib.new(kind, text.encode()).hexdigest()
    return text.replace("0" * length, checksum).encode()


def test_ranges_are_bytes_and_have_their_checksums() -> None:
    """Adjoining ranges are one; each checksum is of its own range; the last block ends with the image."""
    assert Bmap.parse(bmap()) == Bmap(
        39000,
        ((0, 12288), (28672, 10328)),
        (RangeChecksum(0, 8192, "sha256", "ab"), RangeChecksum(8192, 12288, "sha256", "cd")),
    )


@pytest.mark.parametrize(
    ("version", "ranges", "checksums"),
    [
        ("1.0", "<Range>1</Range>", 0),
        ("1.2", '<Range sha1="ab">1</Range>', 0),
        ("1.3", '<Range sha1="ab">1</Range>', 1),
        ("1.4", '<Range chksum="ab">1</Range>', 1),
        ("2.0", '<Range chksum="ab">1</Range>', 1),
    ],
)
def test_older_formats_have_other_checksums_or_none(version: str, ranges: str, checksums: int) -> None:
    """From 1.3 on there are checksums: SHA-1, and later of the kind that the file names."""
    found = Bmap.parse(bmap(ranges, version=version, mapped=1))
    assert (found.ranges, len(found.checksums)) == (((4096, 4096),), checksums)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"<bmap", "not an XML file"),
        (b"<html/>", "not a block map"),
        (b'<!DOCTYPE b [<!ENTITY a "b">]><bmap version="2.0">&a;</bmap>', "document type"),
        (bmap(version="3.0"), "version '3.0'"),
        (bmap(checksum="1" * 64), "checksum is wrong"),
        (bmap(size=50000), "contradict"),
        (bmap("<Range>5-10</Range>"), "outside"),
        (bmap("<Range>5-7</Range><Range>7</Range>"), "overlaps"),
        (bmap("<Range>7-5</Range>"), "overlaps"),
        (bmap("<Range>a-b</Range>"), "not a range"),
        (bmap(mapped=5), "as many blocks"),
        (bmap().replace(b"<BlockSize> 4096 </BlockSize>", b""), "checksum is wrong"),
        (bmap(version="1.0").replace(b"4096", b"x"), "BlockSize is not a number"),
        (bmap().replace(b"sha256", b"shake_128"), "kind that is not known"),
    ],
)
def test_what_is_no_map_is_refused(data: bytes, why: str) -> None:
    """A damaged or strange file is an error that says why."""
    with pytest.raises(BmapError, match=why):
        Bmap.parse(data)
