#!/usr/bin/env python3
"""The peer of fanoutfs in measurements: pyfuse3 with nothing behind it.

    constant_fs.py SIZE MOUNTPOINT

One file, `image`, of SIZE bytes; every read is answered at once with a slice of one constant buffer. Without
a source, a ring and waiting readers, its rate is the most that pyfuse3 and the kernel allow a Python file
system on this machine. It is tuned as fanoutfs is (a new inode for each look-up, direct_io for O_DIRECT, more
background requests, read-ahead), so a ratio to it is the price of fanoutfs's own work alone.

It stays in the foreground until SIGTERM, SIGINT or an unmount.
"""

import argparse
import errno
import os
import signal
import stat
from pathlib import Path

import pyfuse3
import trio

from fanoutfs.fuse.kernel import raise_background, raise_read_ahead
from fanoutfs.system.mountinfo import mount_at

MIB = 1 << 20
IMAGE = b"image"
IMAGE_INODE = pyfuse3.InodeT(2)  # GETATTR always returns it; look-ups return higher ones

LARGEST_READ = MIB  # of one request of the kernel
BLKSIZE = MIB

# Not zeros: reading and comparing zeros is cheaper for some tools and some memory.
CONSTANT = memoryview(bytes(range(256)) * (LARGEST_READ // 256))


class ConstantOperations(pyfuse3.Operations):
    """A folder with one read-only file; handles and inodes are mere numbers."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._last_inode = int(IMAGE_INODE)
        self.negotiated = trio.Event()

    def init(self) -> None:
        """Record INIT; a task that waits for this runs only after the reply is written."""
        self.negotiated.set()

    def _attributes(self, inode: int) -> pyfuse3.EntryAttributes:
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = pyfuse3.InodeT(inode)
        entry.generation = 0
        entry.st_uid, entry.st_gid = os.getuid(), os.getgid()
        if inode == pyfuse3.ROOT_INODE:
            entry.st_mode = pyfuse3.ModeT(stat.S_IFDIR | 0o555)
            entry.st_nlink = 2
            entry.attr_timeout = 1
        else:
            entry.st_mode = pyfuse3.ModeT(stat.S_IFREG | 0o400)
            entry.st_nlink = 1
            entry.st_size = self._size
            entry.st_blksize = BLKSIZE
            entry.st_blocks = -(-self._size // 512)
            entry.attr_timeout = 300
        entry.entry_timeout = 0
        return entry

    async def lookup(
        self, parent_inode: pyfuse3.InodeT, name: pyfuse3.FileNameT, _ctx: pyfuse3.RequestContext
    ) -> pyfuse3.EntryAttributes:
        """Return a new inode, so that each open has its own page cache, as in fanoutfs."""
        if parent_inode != pyfuse3.ROOT_INODE or bytes(name) != IMAGE:
            raise pyfuse3.FUSEError(errno.ENOENT)
        self._last_inode += 1
        entry = self._attributes(self._last_inode)
        entry.attr_timeout = 0
        return entry

    async def getattr(
        self, inode: pyfuse3.InodeT, _ctx: pyfuse3.RequestContext | None = None
    ) -> pyfuse3.EntryAttributes:
        """Return the same st_ino for every inode of the image: cp compares them."""
        return self._attributes(inode if inode == pyfuse3.ROOT_INODE else int(IMAGE_INODE))

    async def open(
        self, inode: pyfuse3.InodeT, flags: pyfuse3.FlagT, _ctx: pyfuse3.RequestContext
    ) -> pyfuse3.FileInfo:
        """Use direct_io if the file is opened with O_DIRECT."""
        return pyfuse3.FileInfo(
            fh=pyfuse3.FileHandleT(int(inode)), direct_io=bool(flags & os.O_DIRECT), keep_cache=True
        )

    async def read(self, _fh: pyfuse3.FileHandleT, off: int, size: int) -> memoryview:  # type: ignore[override]
        """Return a slice of the constant buffer."""
        return CONSTANT[: max(0, min(size, self._size - off))]

    async def flush(self, fh: pyfuse3.FileHandleT) -> None:
        """Succeed: after an error the kernel would send no further ones, unlike to fanoutfs."""

    async def release(self, fh: pyfuse3.FileHandleT) -> None:
        """Succeed: a handle is only a number."""

    async def opendir(self, inode: pyfuse3.InodeT, _ctx: pyfuse3.RequestContext) -> pyfuse3.FileHandleT:
        """Open the folder."""
        return pyfuse3.FileHandleT(int(inode))

    async def readdir(self, _fh: pyfuse3.FileHandleT, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        """List the one file."""
        if start_id == 0:
            entry = self._attributes(int(IMAGE_INODE))
            entry.attr_timeout = 0
            pyfuse3.readdir_reply(token, pyfuse3.FileNameT(IMAGE), entry, 1)

    async def statfs(self, _ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        """Succeed: programs use this to check that a mount responds."""
        return pyfuse3.StatvfsData()


async def serve(operations: ConstantOperations, mountpoint: str) -> None:
    """Run until a signal or an unmount."""
    async with trio.open_nursery() as nursery:

        async def until_signal() -> None:
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async for _ in signals:
                    pyfuse3.terminate()
                    return

        async def tune_once() -> None:
            await operations.negotiated.wait()
            mount = mount_at(Path(mountpoint))
            assert mount is not None
            raise_read_ahead(*mount.device)
            if not raise_background(mount.minor):
                print("constant_fs: measured with the kernel's default of background requests", flush=True)

        nursery.start_soon(until_signal)
        nursery.start_soon(tune_once)
        await pyfuse3.main(min_tasks=16, max_tasks=100_000)
        nursery.cancel_scope.cancel()


def main() -> None:
    """Mount, serve and unmount."""
    parser = argparse.ArgumentParser(description="a FUSE mount whose image is constant bytes, at full speed")
    parser.add_argument("size", type=int, help="size of the image, in bytes")
    parser.add_argument("mountpoint", type=os.path.realpath)
    arguments = parser.parse_args()
    operations = ConstantOperations(arguments.size)
    pyfuse3.init(operations, arguments.mountpoint, {"ro", "fsname=constant", "subtype=constant"})
    try:
        trio.run(serve, operations, arguments.mountpoint)
    finally:
        pyfuse3.close()


if __name__ == "__main__":
    main()
