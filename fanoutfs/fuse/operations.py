"""FUSE request handlers: look up, open, read and release. They translate requests and decide nothing.

Every look-up of a file returns a new inode number; ``inodes.py`` explains why. ``stat`` still shows a
constant number, from GETATTR: cp fails if it changes.

The reply to a look-up is valid for zero seconds, so that the next open looks the name up again.
"""

import errno
import itertools
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence

import attrs
import pyfuse3
import trio

from fanoutfs.errors import ClosingError, TooManyReadersError
from fanoutfs.fuse import files
from fanoutfs.fuse.drop_behind import DropBehind
from fanoutfs.fuse.files import Handle, Node, ReaderHandle, TextHandle
from fanoutfs.fuse.gapped_reader import open_reader
from fanoutfs.fuse.guard import guarded
from fanoutfs.fuse.inodes import Inodes
from fanoutfs.ring.resident_bytes import Buffer
from fanoutfs.ring.ring import Ring
from fanoutfs.system import proc

log = logging.getLogger(__name__)

MOST_HANDLES = 4096
"""Opens beyond this get EMFILE: each may park a request, and pyfuse3 has a task per parked request."""


@attrs.define(eq=False, kw_only=True)
class Filesystem(pyfuse3.Operations):
    """The mount's files, for one ring."""

    supports_dot_lookup = False

    ring: Ring
    drop_behind: DropBehind
    status: Callable[[], bytes]
    """Returns the status document as text."""
    mapfile: Callable[[], bytes] = bytes
    """Returns the map of bad places as text."""
    numbers: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))
    """The numbers of the ring's consumers."""
    cached_limit: int = MOST_HANDLES
    """How many handles may use the page cache; fewer where max_background could not be raised."""
    shared: bool = False
    """All users may read the files."""
    owner: files.Owner = attrs.field(init=False)
    initialised: trio.Event = attrs.field(factory=trio.Event, init=False)
    closing: bool = attrs.field(default=False, init=False)
    handler_bugs: int = attrs.field(default=0, init=False)
    handles: dict[int, Handle] = attrs.field(factory=dict, init=False)
    delivered_before: int = attrs.field(default=0, init=False)
    """Bytes delivered to handles that are closed."""
    inodes: Inodes = attrs.field(factory=Inodes, init=False)
    _handle_numbers: "itertools.count[int]" = attrs.field(factory=lambda: itertools.count(1), init=False)
    _has_warned: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        super().__init__()
        self.owner = files.Owner(os.getuid(), os.getgid(), time.time_ns(), self.shared)

    @property
    def readers(self) -> list[ReaderHandle]:
        """The open handles of image and carousel."""
        return [handle for handle in self.handles.values() if isinstance(handle, ReaderHandle)]

    def init(self) -> None:
        """Record the kernel's INIT; its reply is sent when this returns."""
        self.initialised.set()

    # Names and attributes

    @guarded
    async def lookup(
        self, parent_inode: pyfuse3.InodeT, name: bytes, _ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Find a name; a file gets a fresh inode."""
        return self._entry(files.find(self._node(parent_inode).file.number, name))

    @guarded
    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        """Drop the inodes that the kernel no longer knows."""
        for inode, count in inode_list:
            self.inodes.forget(inode, count)

    @guarded
    async def getattr(self, inode: pyfuse3.InodeT, _ctx: pyfuse3.RequestContext) -> pyfuse3.EntryAttributes:
        """Return what stat shows."""
        node = self._node(inode)
        return files.attributes(node.file, self._size(node), self.owner)

    @guarded
    async def statfs(self, _ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        """Return the statistics of a full file system of the image's size, for df."""
        data = pyfuse3.StatvfsData()
        data.f_bsize = data.f_frsize = 512
        data.f_blocks = -(-self.ring.layout.size // 512)
        data.f_bfree = data.f_bavail = data.f_ffree = data.f_favail = 0
        data.f_files = sum(len(entries) for entries in files.TREE.values()) + 1
        data.f_namemax = 255
        return data

    @guarded
    async def getxattr(self, inode: int, name: bytes, _ctx: pyfuse3.RequestContext) -> bytes:
        """Return where an open carousel began. Never ENOSYS: the kernel caches that for the mount."""
        turn_from = self._node(inode).turn_from
        if name != files.START or turn_from is None:
            raise pyfuse3.FUSEError(pyfuse3.ENOATTR)
        return b"%d" % turn_from

    @guarded
    async def listxattr(self, inode: int, _ctx: pyfuse3.RequestContext) -> list[bytes]:
        """Return the one attribute of an open carousel."""
        return [] if self._node(inode).turn_from is None else [files.START]

    # Folders

    @guarded
    async def opendir(self, inode: pyfuse3.InodeT, _ctx: pyfuse3.RequestContext) -> pyfuse3.FileHandleT:
        """Open a folder: its own number is its handle."""
        return pyfuse3.FileHandleT(self._node(inode).file.number)

    @guarded
    async def readdir(self, fh: int, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        """List a folder from entry ``start_id`` on."""
        for i, file in enumerate(files.TREE[files.FOLDERS[fh]][start_id:], start_id + 1):
            entry = self._entry(file)
            if not pyfuse3.readdir_reply(token, file.name, entry, i):
                self.inodes.forget(entry.st_ino, 1)
                break

    @guarded
    async def releasedir(self, fh: int) -> None:
        """Do nothing: a folder's handle holds no resources."""

    # Files

    @guarded
    async def open(self, inode: pyfuse3.InodeT, flags: int, ctx: pyfuse3.RequestContext) -> pyfuse3.FileInfo:
        """Open a file. O_DIRECT on the image, and ``direct``, bypass the page cache; all else uses it."""
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise pyfuse3.FUSEError(errno.EROFS)
        if self.closing:
            raise ClosingError("the mount is being taken down")
        if len(self.handles) >= MOST_HANDLES:
            log.warning("an open is refused: %d files are open here, which is the most", MOST_HANDLES)
            raise TooManyReadersError("too many files are open")
        node = self._node(inode)
        self.inodes.opened(node)
        number = next(self._handle_numbers)
        if node.file in files.VIEWS:
            direct = bool(flags & os.O_DIRECT) or node.file is files.DIRECT or self._cached_full()
            self.ring.rules.require_beginning()
            if node.file is files.CAROUSEL and node.turn_from is None:
                node.turn_from = self.ring.carousel_start
            command = proc.read(ctx.pid, "comm").rstrip("\n")
            consumer = open_reader(self.ring, next(self.numbers), ctx.pid, command, node.turn_from)
            handle = self.handles[number] = ReaderHandle(consumer, inode, cached=not direct)
            if handle.cached:
                handle.sharing = node.cached
                node.cached.append(handle)
        else:
            direct = False
            self.handles[number] = TextHandle(node.text)
        # keep_cache: an open that drops the cache of an inode with a read in flight hangs; a fresh inode's
        # cache is empty anyway.
        return pyfuse3.FileInfo(
            fh=pyfuse3.FileHandleT(number),
            direct_io=direct,
            keep_cache=True,
            nonseekable=node.file is files.CAROUSEL,
        )

    @guarded
    async def read(self, fh: int, off: int, size: int) -> Buffer:  # type: ignore[override]
        """Read; check the length, because a short reply would be a silent end of file.

        pyfuse3 takes any buffer, though it is annotated with bytes.
        """
        handle = self.handles[fh]
        size = min(size, handle.size - off)
        if size <= 0:
            return b""
        found = handle.read_nowait(off, size)
        if found is None:
            found = await handle.read(off, size)
        if len(found) != size:
            raise AssertionError(f"a read of {size} at {off} of {handle.size} would have given {len(found)}")
        if isinstance(handle, ReaderHandle) and handle.cached:
            handle.passed(off, size)
            self.drop_behind.passed(handle)
        return found

    @guarded
    async def flush(self, fh: int) -> None:
        """Succeed: every close of a duplicate sends it, and there is nothing to flush."""

    @guarded
    async def release(self, fh: int) -> None:
        """Close a handle: its reader has closed the file."""
        self.close_handle(fh)

    # Helpers

    def close_handle(self, number: int) -> None:
        """Release what a handle holds."""
        handle = self.handles.pop(number)
        handle.close()
        if isinstance(handle, ReaderHandle):
            self.delivered_before += handle.consumer.delivered

    def _node(self, inode: int) -> Node:
        try:
            return self.inodes.nodes[inode]
        except KeyError:
            raise pyfuse3.FUSEError(errno.ESTALE) from None

    def _size(self, node: Node) -> int:
        return self.ring.layout.size if node.file in files.VIEWS else len(node.text)

    def _entry(self, file: files.VirtualFile) -> pyfuse3.EntryAttributes:
        """Return the reply to LOOKUP, with a new inode for a file."""
        if file in files.TREE:
            return files.attributes(file, 0, self.owner)
        inode = self.inodes.shared_lookup(file) if file in files.VIEWS else None
        if inode is None:
            inode = self.inodes.enter(Node(file, self._text(file)))
        entry = files.attributes(file, self._size(self._node(inode)), self.owner)
        entry.st_ino = pyfuse3.InodeT(inode)
        entry.entry_timeout = entry.attr_timeout = 0
        return entry

    def _text(self, file: files.VirtualFile) -> bytes:
        """Return the snapshot that status, head or mapfile shows; empty for other files."""
        if file is files.STATUS:
            return self.status()
        if file is files.MAPFILE:
            return self.mapfile()
        return b"%d\n" % self.ring.head if file is files.HEAD else b""

    def _cached_full(self) -> bool:
        if sum(handle.cached for handle in self.readers) < self.cached_limit:
            return False
        if not self._has_warned:
            self._has_warned = True
            log.warning("more than %d readers without O_DIRECT: the others go past the page cache, "
                        "slow for small reads", self.cached_limit)  # fmt: skip
        return True
