"""A file system over CONTENT, called as pyfuse3 would call it, without a mount."""

import os
from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any

import pyfuse3
import trio

from fanoutfs.fuse.drop_behind import DropBehind
from fanoutfs.fuse.operations import Filesystem
from fanoutfs.ring.memory import Memory
from fanoutfs.ring.ring import Ring
from fanoutfs.ring.rules import Rules
from fanoutfs.units import PAGE

SIZE = 10 * PAGE + 7
CONTENT = bytes(i % 251 for i in range(SIZE))
CALLER: Any = SimpleNamespace(pid=os.getpid(), uid=0, gid=0, umask=0)
ROOT = pyfuse3.ROOT_INODE


def make_filesystem() -> Filesystem:
    rules = Rules(blocks=11, slots=4, run=2, patience=10.0, turn=2.0)
    ring = Ring(size=SIZE, block=PAGE, rules=rules, memory=Memory(4, PAGE), clock=trio.current_time)
    return Filesystem(ring=ring, drop_behind=DropBehind(), status=lambda: b'{"readers": []}\n')


async def produce(ring: Ring) -> None:
    while True:
        read = await ring.next_read()
        await trio.sleep(0.001)
        for block, slot in zip(read.blocks, read.slots, strict=True):
            piece = CONTENT[block * PAGE : (block + 1) * PAGE]
            ring.memory.slot(slot)[: len(piece)] = piece
        ring.filled(read, {})


async def look_up(filesystem: Filesystem, name: bytes) -> pyfuse3.InodeT:
    """Look up a name in the root folder; return the inode that open takes."""
    return (await filesystem.lookup(ROOT, name, CALLER)).st_ino


async def open_image(filesystem: Filesystem, flags: int = os.O_RDONLY) -> pyfuse3.FileInfo:
    return await filesystem.open(await look_up(filesystem, b"image"), flags, CALLER)


async def errno_of(request: Awaitable[object]) -> int | None:
    """Return the errno that a handler answers with; None when it succeeds."""
    try:
        await request
    except pyfuse3.FUSEError as error:
        return error.errno
    return None
