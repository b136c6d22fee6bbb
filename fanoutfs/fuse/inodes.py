"""The inode numbers that the kernel knows: a fresh one for each look-up, but in a crowd.

Why a fresh one: the kernel keeps one page cache per inode. With one inode for all, what one reader has read
is served to the next without a word to us: no pacing, no counting, and nothing to tell when the ring may let
go. So each open by name has an inode, and a page cache, of its own.

Why not in a crowd: whoever looks a name up drops the entry that another has just found and not yet opened,
who then looks up again. Of 200 that open the file at once one gets through at a time (119 requests each; a
stat among them took 28 seconds, for it has to get through as well). So when a name was looked up CROWD times
and nobody has opened it, all find the inode that the last one found, until somebody opens it. Those who get
through together share a page cache: each gets the right bytes, but what one was served from another's pages
the ring does not see.
"""

import itertools
from collections import Counter

import attrs

from fanoutfs.fuse.files import TREE, Node, VirtualFile

FIRST_FRESH = 1 << 10
"""Below are the constant numbers of folders, and of files as stat shows them."""

CROWD = 16
"""Ten that open at once send 15 requests for each open, a hundred 70. With 32 an open still took 4.9 seconds
at worst among 200, with 16 it took 1.5."""


@attrs.define(eq=False)
class Inodes:
    """Which number means what."""

    nodes: dict[int, Node] = attrs.field(init=False)
    _fresh: "itertools.count[int]" = attrs.field(factory=lambda: itertools.count(FIRST_FRESH), init=False)
    _last: dict[VirtualFile, int] = attrs.field(factory=dict, init=False)
    _looked_up: Counter[VirtualFile] = attrs.field(factory=Counter, init=False)
    """How often since the last open."""

    def __attrs_post_init__(self) -> None:
        self.nodes = {file.number: Node(file) for file in TREE}

    def crowded(self, file: VirtualFile) -> int | None:
        """Count a look-up; give the number that all find while there is a crowd, told once more."""
        self._looked_up[file] += 1
        inode = self._last.get(file)
        if self._looked_up[file] <= CROWD or inode not in self.nodes:
            return None
        self.nodes[inode].told += 1
        return inode

    def enter(self, node: Node) -> int:
        """Give a node a fresh number; it is told to the kernel once."""
        inode = self._last[node.file] = next(self._fresh)
        self.nodes[inode] = node
        return inode

    def opened(self, node: Node) -> None:
        """Note that somebody has got through to a file."""
        del self._looked_up[node.file]

    def forget(self, inode: int, count: int) -> None:
        """Drop a number that the kernel forgets, when it has as often as it was told it."""
        if inode >= FIRST_FRESH and inode in self.nodes:
            self.nodes[inode].told -= count
            if self.nodes[inode].told <= 0:
                del self.nodes[inode]
