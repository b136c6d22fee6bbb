"""The virtual files that a mount shows: which there are, their attributes, and what an open one does."""

import errno
import stat
from collections.abc import Callable
from typing import Protocol

import attrs
import pyfuse3

from fanoutfs.fuse.gapped_reader import AnyReader
from fanoutfs.ring.resident_bytes import Buffer
from fanoutfs.units import MIB

BEST_READ = MIB
"""st_blksize: what cp and cat read at a time, and the most that one FUSE request carries."""


@attrs.frozen
class VirtualFile:
    """A name in the mount. ``number`` is the st_ino that stat shows."""

    name: bytes
    number: int
    mode: int


ROOT = VirtualFile(b"/", pyfuse3.ROOT_INODE, stat.S_IFDIR | 0o500)
FOLDER = VirtualFile(b".fanoutfs", 2, stat.S_IFDIR | 0o500)
IMAGE = VirtualFile(b"image", 3, stat.S_IFREG | 0o400)
STATUS = VirtualFile(b"status", 4, stat.S_IFREG | 0o400)
HEAD = VirtualFile(b"head", 5, stat.S_IFREG | 0o400)
CAROUSEL = VirtualFile(b"carousel", 6, stat.S_IFREG | 0o400)
DIRECT = VirtualFile(b"direct", 7, stat.S_IFREG | 0o400)
"""The image without the page cache, for a program that can't use O_DIRECT: an export's clients verify against
the ring, so each byte must come from there."""

MAPFILE = VirtualFile(b"mapfile", 8, stat.S_IFREG | 0o400)
"""The map of bad places, as of GNU ddrescue."""

TREE = {ROOT: (IMAGE, CAROUSEL, FOLDER), FOLDER: (STATUS, HEAD, DIRECT, MAPFILE)}
"""The files in each folder, in the order of a listing."""

VIEWS = (IMAGE, CAROUSEL, DIRECT)
"""The files that show the image: each open one is a consumer."""

START = b"user.fanoutfs.start"
"""The extended attribute of an open carousel: the byte of the image at which it began, in decimal."""

FOLDERS = {file.number: file for file in TREE}


class Handle(Protocol):
    """An open file."""

    size: int

    def read_nowait(self, offset: int, size: int, /) -> Buffer | None:
        """Return ``size`` bytes at ``offset``, within the file; None if that would have to wait."""

    async def read(self, offset: int, size: int) -> Buffer:
        """Return ``size`` bytes at ``offset``, within the file; valid until the next checkpoint."""

    def close(self) -> None:
        """Release what the open file holds."""


@attrs.define(eq=False)
class TextHandle:
    """An open status, head or mapfile: a snapshot."""

    text: bytes
    size: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.size = len(self.text)

    def read_nowait(self, offset: int, size: int, /) -> Buffer:
        """Return a piece of the snapshot."""
        return self.text[offset : offset + size]

    async def read(self, offset: int, size: int) -> Buffer:
        """Return a piece of the snapshot; no checkpoint."""
        return self.read_nowait(offset, size)

    def close(self) -> None:
        """Do nothing: a snapshot holds no resources."""


@attrs.define(eq=False)
class ReaderHandle:
    """An open image or carousel: one consumer, read through the page cache of ``inode`` if ``cached``.

    When several handles share a page cache, the kernel serves what one has read to the others without a
    request. So each handle records what the others read. Otherwise it would seem to have stopped, and the
    other readers would wait for it; one of them might hold the very page that it waits for in the kernel.
    """

    consumer: AnyReader
    inode: pyfuse3.InodeT
    cached: bool
    size: int = attrs.field(init=False)
    dropped: int | None = attrs.field(default=None, init=False)
    """The offset up to which the page cache behind this reader was dropped, in bytes; None since a jump."""
    dropping: bool = attrs.field(default=False, init=False)
    sharing: "list[ReaderHandle]" = attrs.field(factory=list)
    """All handles that read through the same page cache, including this one."""
    read_nowait: Callable[[int, int], Buffer | None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.size = self.consumer.size
        self.read_nowait = self.consumer.read_nowait

    async def read(self, offset: int, size: int) -> Buffer:
        """See ``Reader.read``."""
        first = not self.consumer.begun
        found = await self.consumer.read(offset, size)
        if first:
            for other in self._others():
                self.consumer.joins(other.consumer.stream)
        return found

    def passed(self, offset: int, size: int) -> None:
        """Record, for the others with this page cache, the bytes that are now in it."""
        for other in self._others():
            other.consumer.found_in_cache(offset, size)

    def _others(self) -> "list[ReaderHandle]":
        if len(self.sharing) <= 1:
            return []
        return [other for other in self.sharing if other is not self]

    def close(self) -> None:
        """Leave the ring; the other handles keep the page cache."""
        if self in self.sharing:
            self.sharing.remove(self)
        self.consumer.close()


@attrs.define(eq=False)
class Node:
    """An inode number that the kernel knows; for status, head and mapfile, with their snapshot.

    ``turn_from`` is where a carousel's turn begins, in bytes; its first open fixes it. An inode has one page
    cache and one set of attributes, so a second open (through /proc/self/fd, for example) has the same turn.
    """

    file: VirtualFile
    text: bytes = b""
    turn_from: int | None = None
    lookup_count: int = 1
    """How often the kernel has looked it up and not forgotten it."""
    cached: "list[ReaderHandle]" = attrs.field(factory=list, init=False)
    """The open handles that read through its page cache."""


@attrs.frozen
class Owner:
    """Whose the files are, since when, and who else may read them, as stat shows it."""

    uid: int
    gid: int
    time_ns: int
    shared: bool = False
    """All users may read them (--allow-other): the source may be a whole disk, so nothing else opens it."""

    def mode(self, file: VirtualFile) -> pyfuse3.ModeT:
        """Return st_mode: what the owner may do, others may if the files are shared."""
        rights = stat.S_IMODE(file.mode)
        return pyfuse3.ModeT(file.mode | (rights >> 3 | rights >> 6 if self.shared else 0))


def attributes(file: VirtualFile, size: int, owner: Owner) -> pyfuse3.EntryAttributes:
    """Return the reply to GETATTR: with the constant inode number, and cacheable for minutes."""
    entry = pyfuse3.EntryAttributes()
    entry.st_ino = pyfuse3.InodeT(file.number)
    entry.st_mode = owner.mode(file)
    entry.st_nlink = 2 if stat.S_ISDIR(file.mode) else 1
    entry.st_uid, entry.st_gid = owner.uid, owner.gid
    entry.st_size = size
    entry.st_blksize = BEST_READ
    entry.st_blocks = -(-size // 512)
    entry.st_atime_ns = entry.st_mtime_ns = entry.st_ctime_ns = owner.time_ns
    # The kernel must not answer for a dead daemon from cached attributes of the root.
    entry.attr_timeout = 1 if file is ROOT else 300
    return entry


def find(folder: int, name: bytes) -> VirtualFile:
    """Return the file with this name in the folder with this number. Raise FUSEError(ENOENT)."""
    for file in TREE.get(FOLDERS[folder], ()) if folder in FOLDERS else ():
        if file.name == name:
            return file
    raise pyfuse3.FUSEError(errno.ENOENT)
