"""The inode numbers that the kernel knows: a new one for each look-up, except when many opens race.

Why a new one: the kernel keeps one page cache per inode. If all readers shared an inode, the kernel would
serve one reader's pages to the next without a request to fanoutfs: reads could not be paced or counted, and
the ring could not tell when a block is no longer needed. So each open by name has its own inode, and with it
its own page cache.

Why not when many opens race: a look-up drops the directory entry that another process has just looked up and
not yet opened, and that process then looks it up again. Of 200 processes that open the file at once, one
succeeds at a time (119 requests each; a stat among them took 28 seconds, because it has to succeed as well).
So after CROWD look-ups of a name without an open, all look-ups return the last inode, until a process opens
it. The processes that open it together share a page cache. Each reads the right bytes, but the ring does not
see a read that the kernel serves from another reader's pages.
"""

import itertools
from collections import Counter

import attrs

from fanoutfs.fuse.files import TREE, Node, VirtualFile

FIRST_FRESH = 1 << 10
"""Lower numbers are constant: those of folders, and those of files as stat shows them."""

CROWD = 16
"""In look-ups. Ten processes that open at once send 15 requests per open, a hundred send 70. With 32, an open
became as slow as 4.9 seconds among 200; with 16 the slowest took 1.5."""


@attrs.define(eq=False)
class Inodes:
    """The nodes by inode number."""

    nodes: dict[int, Node] = attrs.field(init=False)
    _fresh: "itertools.count[int]" = attrs.field(factory=lambda: itertools.count(FIRST_FRESH), init=False)
    _last: dict[VirtualFile, int] = attrs.field(factory=dict, init=False)
    _looked_up: Counter[VirtualFile] = attrs.field(factory=Counter, init=False)
    """Look-ups of each file since it was last opened."""

    def __attrs_post_init__(self) -> None:
        self.nodes = {file.number: Node(file) for file in TREE}

    def shared_lookup(self, file: VirtualFile) -> int | None:
        """Count a look-up; return the inode that racing opens share, or None for a new one."""
        self._looked_up[file] += 1
        inode = self._last.get(file)
        if self._looked_up[file] <= CROWD or inode not in self.nodes:
            return None
        self.nodes[inode].lookup_count += 1
        return inode

    def enter(self, node: Node) -> int:
        """Return a new inode number for a node, which the kernel will have looked up once."""
        inode = self._last[node.file] = next(self._fresh)
        self.nodes[inode] = node
        return inode

    def opened(self, node: Node) -> None:
        """Record that a process has opened a file."""
        del self._looked_up[node.file]

    def forget(self, inode: int, count: int) -> None:
        """Drop an inode when the kernel has forgotten all its look-ups of it."""
        if inode >= FIRST_FRESH and inode in self.nodes:
            self.nodes[inode].lookup_count -= count
            if self.nodes[inode].lookup_count <= 0:
                del self.nodes[inode]
