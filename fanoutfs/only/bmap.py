"""The block map of bmaptool (.bmap), as XML and values: what of an image is data, with checksums. No I/O.

Formats 1.x and 2.x are known. A range is a row of blocks, and from format 1.3 on it has a checksum, as the
file has one, which is made with zeros in its own place. The blocks that are not listed hold nothing of use.
"""

import hashlib
import re
from typing import NoReturn
from xml.etree import ElementTree as ET

import attrs

from fanoutfs.ranges import Range, joined
from fanoutfs.source.checked import RangeChecksum


class BmapError(ValueError):
    """The file is not a block map that can be used; the message says why."""


@attrs.frozen
class Bmap:
    """What a block map says, in bytes."""

    size: int
    """Of the image."""
    ranges: tuple[Range, ...]
    """What is data: ascending, disjoint."""
    checksums: tuple[RangeChecksum, ...] = ()
    """The checksums of the ranges that have one."""

    @classmethod
    def parse(cls, data: bytes) -> "Bmap":
        """Return what a file says; raise BmapError."""
        try:
            root = ET.fromstring(data, parser=ET.XMLParser(target=_NoEntities()))  # noqa: S314
        except (ET.ParseError, ValueError, LookupError) as error:
            raise BmapError(f"not an XML file that can be read: {error}") from error
        if root.tag != "bmap":
            raise BmapError("an XML file, but not a block map: its element is not <bmap>")
        algorithm, attribute = _checksums(root, data)
        size, block, blocks, mapped = (
            _number(root, name) for name in ("ImageSize", "BlockSize", "BlocksCount", "MappedBlocksCount")
        )
        if not size or not block or blocks != -(-size // block):
            raise BmapError("the sizes in it contradict one another")
        ranges, checksums, at = [], [], 0
        for element in root.iterfind("BlockMap/Range"):
            first, end = _blocks(element.text or "")
            if not at <= first < end <= blocks:
                raise BmapError(
                    f"the range {(element.text or '').strip()} overlaps, or lies outside the image"
                )
            at = end
            begin, length = first * block, min(end * block, size) - first * block
            ranges.append((begin, length))
            if algorithm and (digest := element.get(attribute)):
                checksums.append(RangeChecksum(begin, begin + length, algorithm, digest.strip().lower()))
        if sum(-(-length // block) for _, length in ranges) != mapped:
            raise BmapError("it does not list as many blocks as it says")
        return cls(size, tuple(joined(ranges)), tuple(checksums))


class _NoEntities(ET.TreeBuilder):
    """Refuses document types, and with them all entities: a block map has none."""

    def doctype(self, *_: object) -> NoReturn:
        raise BmapError("it declares a document type")


def _checksums(root: ET.Element, data: bytes) -> tuple[str, str]:
    """Return the algorithm of the ranges' checksums, empty if there are none, and their attribute.

    Raise BmapError for a version that is not known, or if the file's own checksum is wrong.
    """
    found = re.fullmatch(r"([12])\.(\d{1,3})", root.get("version", "").strip(), re.ASCII)
    if found is None:
        raise BmapError(f"version {root.get('version', '')!r} of the format is not known")
    version = int(found[1]), int(found[2])
    if version < (1, 3):
        return "", ""
    # 1.4 was 2.0 by mistake.
    names = ("sha1", "BmapFileSHA1") if version == (1, 3) else ("chksum", "BmapFileChecksum")
    algorithm = "sha1" if version == (1, 3) else _text(root, "ChecksumType").lower()
    try:
        length = len(hashlib.new(algorithm).hexdigest())
    except (ValueError, TypeError) as error:
        raise BmapError(f"its checksums are of a kind that is not known: {algorithm!r}") from error
    own = _text(root, names[1])
    written = own.encode(errors="replace")
    if len(own) != length or data.count(written) == 0:
        raise BmapError("it has no checksum of itself")
    if hashlib.new(algorithm, data.replace(written, b"0" * length, 1)).hexdigest() != own.lower():
        raise BmapError("its own checksum is wrong: it was damaged or edited")
    return algorithm, names[0]


def _text(root: ET.Element, name: str) -> str:
    return (root.findtext(name) or "").strip()


def _number(root: ET.Element, name: str) -> int:
    text = _text(root, name)
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise BmapError(f"its {name} is not a number")
    return int(text)


def _blocks(text: str) -> tuple[int, int]:
    """Return the first block of a range, and one past its last."""
    found = re.fullmatch(r"\s*(\d{1,18})\s*(?:-\s*(\d{1,18})\s*)?", text, re.ASCII)
    if found is None:
        raise BmapError(f"{text.strip()!r} is not a range of blocks")
    return int(found[1]), int(found[2] or found[1]) + 1
