"""The file systems whose used blocks can be found: by which program, and when its answer may be trusted.

The maps of free blocks on a disk may be old: a file system with a journal that was not unmounted has newer
ones in the journal. partclone does not look there. So a tool of each such file system is asked before.

No I/O.
"""

import re
from collections.abc import Callable, Sequence

import attrs

from fanoutfs.ranges import Range

NOT_UNMOUNTED = "it was not unmounted, or is mounted, so that its list of free blocks may be old"


@attrs.frozen
class Question:
    """A program that is asked about a file system before its free blocks are."""

    argv: Sequence[str]
    """The device follows."""
    objection: Callable[[int, str], str | None]
    """Return from its exit code and output why the free blocks can't be trusted, or None if they can."""


@attrs.frozen
class FileSystem:
    """A kind of file system."""

    partclone: str
    """The program that finds the used blocks."""
    question: Question | None = None
    mirrors: bool = False
    """Blocks have copies elsewhere that partclone may not list."""


def _of_ext(code: int, text: str) -> str | None:
    features = re.search(r"^Filesystem features:(.*)$", text, re.MULTILINE)
    if code or features is None:
        return "dumpe2fs can't read it"
    if "needs_recovery" in features[1].split():
        return NOT_UNMOUNTED
    # Old versions of partclone read the bitmaps of such a one as if it had no clusters.
    return "its blocks are allocated in clusters (bigalloc)" if "bigalloc" in features[1].split() else None


def _of_xfs(code: int, text: str) -> str | None:
    if code or "<CLEAN>" not in text:
        return NOT_UNMOUNTED if "<DIRTY>" in text else "xfs_logprint can't read its log"
    return None


def _of_btrfs(code: int, text: str) -> str | None:
    fields = dict(re.findall(r"^(num_devices|log_root)\s+(\d+)$", text, re.MULTILINE))
    if code or len(fields) != 2:  # noqa: PLR2004 (both)
        return "btrfs can't read its superblock"
    if fields["num_devices"] != "1":
        return "it is a part of a file system on several devices"
    return None if fields["log_root"] == "0" else NOT_UNMOUNTED


def _of_hfsplus(code: int, _text: str) -> str | None:
    return NOT_UNMOUNTED if code else None


_EXT = FileSystem("partclone.extfs", Question(["dumpe2fs", "-h"], _of_ext))

FILE_SYSTEMS = {
    "ext2": _EXT,
    "ext3": _EXT,
    "ext4": _EXT,
    "xfs": FileSystem("partclone.xfs", Question(["xfs_logprint", "-t"], _of_xfs)),
    "btrfs": FileSystem(
        "partclone.btrfs", Question(["btrfs", "inspect-internal", "dump-super"], _of_btrfs), mirrors=True
    ),
    "ntfs": FileSystem("partclone.ntfs"),
    "vfat": FileSystem("partclone.fat"),
    "exfat": FileSystem("partclone.exfat"),
    "hfsplus": FileSystem("partclone.hfsp", Question(["fsck.hfsplus", "-q"], _of_hfsplus)),
}
"""By blkid's name."""

CHUNKS = ["btrfs", "inspect-internal", "dump-tree", "-t", "chunk"]
"""The device follows; prints where the copies of blocks are."""

Mirror = tuple[int, tuple[int, ...]]
"""Bytes that exist more than once on a device: their number, and where each copy begins."""

_UNKNOWN_COPIES = "where it keeps copies of its blocks is not known"

_CHUNK = re.compile(r"^\s*length (\d+) owner \d+ stripe_len \d+ type (\S+)$", re.MULTILINE)
_STRIPE = re.compile(r"^\s*stripe \d+ devid \d+ offset (\d+)$", re.MULTILINE)


def mirrors(text: str) -> list[Mirror]:
    """Return the copies that a Btrfs on one device keeps, from ``CHUNKS``.

    Raise ValueError for what is not understood.
    """
    found = []
    chunks = list(_CHUNK.finditer(text))
    for i, chunk in enumerate(chunks):
        end = chunks[i + 1].start() if i + 1 < len(chunks) else len(text)
        offsets = tuple(int(offset) for offset in _STRIPE.findall(text, chunk.end(), end))
        profile = chunk[2].partition("|")[2].lower()
        if not offsets or profile not in ("", "single", "dup") or (profile != "dup" and len(offsets) > 1):
            raise ValueError(_UNKNOWN_COPIES)
        found.append((int(chunk[1]), offsets))
    if not found:
        raise ValueError(_UNKNOWN_COPIES)
    return [chunk for chunk in found if len(chunk[1]) > 1]


def mirrored(used: Sequence[Range], copies: Sequence[Mirror], base: int) -> list[Range]:
    """Return used ranges together with their copies, on a device that begins at byte ``base``."""
    found = list(used)
    for length, offsets in copies:
        for source in offsets:
            for offset, count in used:
                low, high = max(offset, base + source), min(offset + count, base + source + length)
                if low < high:
                    found += [(base + target + low - base - source, high - low) for target in offsets]
    return found


def objection(output: str) -> str | None:
    """Return why a map of partclone that it made without an error can't be trusted, from its output."""
    return NOT_UNMOUNTED if "not unmounted cleanly" in output else None


def complaint(output: str) -> str:
    """Return why partclone has failed, from its output."""
    lines = [line.strip() for line in re.split(r"[\r\n]", output)]
    told = [found[1] for line in lines if (found := re.search(r"clone\S*\.c: (.+)$", line))]
    text = told[-1].rstrip(".") if told else "it can't be read"
    return "".join(sign if sign.isprintable() else "?" for sign in text)
