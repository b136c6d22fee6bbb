"""What a file is, by its first and last bytes: a disk as it lies, or an image in a format. No I/O.

A file that is an image in a format is never copied as it lies unless the user says so: ``raw:PATH``. A name
alone decides nothing: ``os.img.xz`` that holds a disk is a disk. Block devices are not looked at: their
contents are those of a disk, and what runs on it could write any header.

The marks are those of the formats' specifications, and what file(1) and QEMU look for.
"""

import enum
import re
import struct
from collections.abc import Callable

import attrs

from fanoutfs.units import format_size

HEAD = 64 * 1024
"""Bytes of the beginning of a file that are looked at: the descriptor in a VMDK image lies in them."""

TAIL = 512
"""Bytes of its end that are looked at."""

RAW = "raw"
"""The prefix for a file that is read as it lies."""


class Way(enum.Enum):
    """How an image in a format is read."""

    SERVED = "served"
    """By qemu-nbd, at any offset."""
    DECOMPRESSED = "decompressed"
    """By its tool, once, from its beginning to its end."""
    REFUSED = "refused"
    """There is no good way; the user must convert it."""


def _at(offset: int, mark: bytes) -> Callable[[bytes, bytes], bool]:
    return lambda head, _tail: head[offset : offset + len(mark)] == mark


def _matches(pattern: bytes) -> Callable[[bytes, bytes], bool]:
    compiled = re.compile(pattern, re.DOTALL)
    return lambda head, _tail: compiled.match(head) is not None


def _ends(mark: bytes) -> Callable[[bytes, bytes], bool]:
    """Return a test for a mark at the beginning of the last 512 bytes."""
    return lambda _head, tail: len(tail) == TAIL and tail.startswith(mark)


@attrs.frozen
class ImageFormat:
    """A format, and how it is recognised."""

    name: str
    """In messages, and as a prefix: ``qcow2:PATH``."""
    way: Way
    marks: tuple[Callable[[bytes, bytes], bool], ...]
    """Tests of the first and the last bytes; one of them is enough."""
    driver: str = ""
    """What QEMU calls it, if that is not its name."""
    suffixes: tuple[str, ...] = ()
    """The ends of the names that such files have."""

    @property
    def what(self) -> str:
        """What such a file is, with its article: "an xz image"."""
        vowel = self.name[0] in "aeiouAEIOU" or self.name.startswith(("xz", "lz", "LZ", "HTML", "ntfs"))
        return f"{'an' if vowel else 'a'} {self.name}{'' if self.way is Way.REFUSED else ' image'}"

    @property
    def qemu_driver(self) -> str:
        """What QEMU calls it."""
        return self.driver or self.name


def _served(name: str, *marks: Callable[[bytes, bytes], bool], driver: str = "") -> ImageFormat:
    return ImageFormat(name, Way.SERVED, marks, driver, (f".{name}",))


def _decompressed(name: str, *marks: Callable[[bytes, bytes], bool]) -> ImageFormat:
    return ImageFormat(name, Way.DECOMPRESSED, marks)


def _refused(name: str, *marks: Callable[[bytes, bytes], bool]) -> ImageFormat:
    return ImageFormat(name, Way.REFUSED, marks)


def _is_lzma(head: bytes, _tail: bytes) -> bool:
    """Return whether a file is of the old format of LZMA, whose header has no mark."""
    if len(head) < 13 or head[0] != 0x5D:  # noqa: PLR2004 (lc=3, lp=0, pb=2, as all tools write)
        return False
    dictionary, size = struct.unpack_from("<IQ", head, 1)
    one = dictionary // 3 if dictionary % 3 == 0 else dictionary
    power = one & (one - 1) == 0 and 1 << 12 <= dictionary <= 1 << 30
    return bool(power and (size == (1 << 64) - 1 or 0 < size < 1 << 48))


QCOW2 = _served("qcow2", _matches(rb"QFI\xfb\0\0\0[\2-\xff]"))
QED = _served("qed", _at(0, b"QED\0"))
VMDK = _served("vmdk", _at(0, b"KDMV"), _at(0, b"COWD"), _matches(rb"(#[^\n]*\n)*# Disk DescriptorFile"))
VHD = _served("vhd", _at(0, b"conectix"), _ends(b"conectix"), driver="vpc")
XZ = _decompressed("xz", _at(0, b"\xfd7zXZ\0"))
GZIP = _decompressed("gzip", _at(0, b"\x1f\x8b\x08"))
ZSTD = _decompressed("zstd", _at(0, b"\x28\xb5\x2f\xfd"))
BZIP2 = _decompressed("bzip2", _matches(rb"BZh[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)"))
LZ4 = _decompressed("lz4", _at(0, b"\x04\x22\x4d\x18"))
ZIP = _decompressed("zip", _at(0, b"PK\3\4"), _at(0, b"PK\5\6"))

TAR = _refused("tar archive", _at(257, b"ustar"))
"""Recognised within a compressed file only: as it lies it may stand on a disk, as on a tape."""

FORMATS = (
    QCOW2,
    _served("qcow", _at(0, b"QFI\xfb\0\0\0\1")),
    QED,
    VMDK,
    _served("vdi", _at(64, b"\x7f\x10\xda\xbe")),
    _served("vhdx", _at(0, b"vhdxfile")),
    VHD,
    _served("parallels", _at(0, b"WithoutFreeSpace"), _at(0, b"WithouFreSpacExt")),
    XZ,
    GZIP,
    ZSTD,
    BZIP2,
    LZ4,
    ZIP,
    _refused("7z archive", _at(0, b"7z\xbc\xaf\x27\x1c")),
    _refused("RAR archive", _at(0, b"Rar!\x1a\7")),
    # It has neither an end nor a checksum.
    _refused("legacy lz4 file", _at(0, b"\x02\x21\x4c\x18")),
    _refused("lzip file", _matches(rb"LZIP[\0\1]")),
    _refused("lzop file", _at(0, b"\x89LZO\0\r\n\x1a\n")),
    _refused("LZMA file", _is_lzma),
    _refused("compress (.Z) file", _matches(rb"\x1f\x9d[\x80-\x9f]")),
    _refused("Android sparse image", _at(0, b"\x3a\xff\x26\xed\1\0")),
    _refused("partclone image", _at(0, b"partclone-image")),
    _refused("partimage image", _at(0, b"PaRtImAgE-VoLuMe")),
    _refused("ntfsclone image", _at(0, b"\0ntfsclone-image")),
    _refused("WIM image", _at(0, b"MSWIM\0\0\0")),
    _refused("dmg image", _ends(b"koly")),
    _refused("HTML page", _matches(rb"\s*(?i:<!doctype html|<html)")),
    _refused("EnCase image", _at(0, b"EVF\t\r\n\xff\0")),
)
"""Whichever comes first counts: a dynamic VHD image ends as one, too."""

_SKIPPABLE = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18(....)", re.DOTALL)
"""A frame that carries no data, as pzstd writes first; zstd and lz4 have it in common."""


def recognise(head: bytes, tail: bytes) -> ImageFormat | None:
    """Return the format of a file; None: it is a disk as it lies.

    ``head`` are its first HEAD bytes, ``tail`` its last TAIL bytes, or all if it is shorter.
    """
    at = 0
    while (skipped := _SKIPPABLE.match(head, at)) is not None:
        at = skipped.end() + int.from_bytes(skipped[1], "little")
    if at and not any(mark(head[at:], b"") for one in (ZSTD, LZ4) for mark in one.marks):
        at = 0
    return next((one for one in FORMATS if any(mark(head[at:], tail) for mark in one.marks)), None)


def recognise_within(head: bytes) -> ImageFormat | None:
    """Return the format of what a compressed file holds, by its first bytes; None: a disk."""
    return next((one for one in (*FORMATS, TAR) if any(mark(head, b"") for mark in one.marks)), None)


def split_prefix(argument: str) -> tuple[str, str]:
    """Return the format that a source argument asks for, empty if it asks for none, and the rest of it.

    ``raw:PATH`` is read as it lies. ``qcow2:PATH`` says that the image, which its owner trusts, may name
    other files. ``./raw:x`` is a file of that name.
    """
    prefix, colon, rest = argument.partition(":")
    known = {RAW, *(one.name for one in FORMATS if one.way is Way.SERVED)}
    return (prefix, rest) if colon and rest and prefix in known else ("", argument)


def by_name(name: str) -> ImageFormat:
    """Return the format of this name."""
    return next(one for one in FORMATS if one.name == name)


def taken_for(named: str, kind: ImageFormat, size: int | None) -> str:
    """Return the line that tells the user what a source was taken for; ``size`` in bytes, if it is known."""
    how = "; it is decompressed while it is read" if kind.way is Way.DECOMPRESSED else ""
    of = "" if size is None else f" of {format_size(size)}"
    return f"{named} is {kind.what}{of}{how}"


def refusal(named: str, kind: ImageFormat) -> str:
    """Return the line for a source in a format that can't be read."""
    advice = f"convert it, or copy it as it lies: raw:{named}"
    return f"the source {named} is {kind.what}, which can't be read here; {advice}"


def mismatch(named: str, prefix: str, kind: ImageFormat | None) -> str:
    """Return the line for a source that is not in the format that the user asked for."""
    what = "a disk as it lies" if kind is None else kind.what
    return f"the source {named} is not {prefix}, but {what}; name it without {prefix}:"
