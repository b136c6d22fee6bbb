#!/usr/bin/env python3
"""The peer that fanoutfs is measured against: pyfuse3 with nothing behind it.

    constant_fs.py SIZE MOUNTPOINT

One file, `image`, of SIZE bytes, whose every read is answered at once with a slice of one constant buffer.
No source, no ring, nobody waits: what this reaches is what pyfuse3 and the kernel let a Python file system
reach on this machine. It is tuned as fanoutfs is (fresh inode per look-up, direct_io for O_DIRECT, room for
background requests, read-ahead), so that a ratio to it is the price of fanoutfs's own work, nothing else.

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

MIB = 1 << 20
IMAGE = b"image"
IMAGE_INODE = pyfuse3.InodeT(2)  # the one st_ino that GETATTR answers; look-ups hand out higher ones

LARGEST_READ = MIB  # what the kernel asks for at most in one request
BLKSIZE = MIB
READ_AHEAD_KB = 1024
BACKGROUND = 4096  # the kernel's default of 12 would let cached readers queue behind one another

# Not zeros: reading and comparing zeros is cheaper for some tools and some memory.
CONSTANT = memoryview(bytes(range(256)) * (LARGEST_READ // 256))


class ConstantOperations(pyfuse3.Operations):
    """A folder with one read-only file; handles and inodes are numbers without anything behind them."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._last_inode = int(IMAGE_INODE)
        self.negotiated = trio.Event()

    def init(self) -> None:
        """Say that the kernel has been greeted; whoever waits runs only after the answer is written."""
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
        """Answer a fresh inode, so that each open has a page cache of its own, as in fanoutfs."""
        if parent_inode != pyfuse3.ROOT_INODE or bytes(name) != IMAGE:
            raise pyfuse3.FUSEError(errno.ENOENT)
        self._last_inode += 1
        entry = self._attributes(self._last_inode)
        entry.attr_timeout = 0
        return entry

    async def getattr(
        self, inode: pyfuse3.InodeT, _ctx: pyfuse3.RequestContext | None = None
    ) -> pyfuse3.EntryAttributes:
        """Answer the same st_ino for every inode of the image: cp compares it with what it saw before."""
        return self._attributes(inode if inode == pyfuse3.ROOT_INODE else int(IMAGE_INODE))

    async def open(
        self, inode: pyfuse3.InodeT, flags: pyfuse3.FlagT, _ctx: pyfuse3.RequestContext
    ) -> pyfuse3.FileInfo:
        """Choose the direct or the cached way as the opener did."""
        return pyfuse3.FileInfo(
            fh=pyfuse3.FileHandleT(int(inode)), direct_io=bool(flags & os.O_DIRECT), keep_cache=True
        )

    async def read(self, _fh: pyfuse3.FileHandleT, off: int, size: int) -> memoryview:  # type: ignore[override]
        """Answer at once; every block of the file is the constant buffer."""
        return CONSTANT[: max(0, min(size, self._size - off))]

    async def flush(self, fh: pyfuse3.FileHandleT) -> None:
        """Answer, or the kernel never asks again and our requests differ from those of fanoutfs."""

    async def release(self, fh: pyfuse3.FileHandleT) -> None:
        """Forget a handle: there is nothing to forget."""

    async def opendir(self, inode: pyfuse3.InodeT, _ctx: pyfuse3.RequestContext) -> pyfuse3.FileHandleT:
        """Let ls in."""
        return pyfuse3.FileHandleT(int(inode))

    async def readdir(self, _fh: pyfuse3.FileHandleT, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        """List the one file."""
        if start_id == 0:
            entry = self._attributes(int(IMAGE_INODE))
            entry.attr_timeout = 0
            pyfuse3.readdir_reply(token, pyfuse3.FileNameT(IMAGE), entry, 1)

    async def statfs(self, _ctx: pyfuse3.RequestContext) -> pyfuse3.StatvfsData:
        """Answer: this is how one asks a mount whether it is alive."""
        return pyfuse3.StatvfsData()


def device_number(mountpoint: str) -> str:
    """Return MAJ:MIN of the mount, from mountinfo: a stat of our own mount would wait for ourselves."""
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        fields = line.split()
        if fields[4] == mountpoint:
            return fields[2]
    raise LookupError(f"{mountpoint} is not in mountinfo")


def tune(device: str, read_ahead_kb: int) -> None:
    """Widen the kernel's limits for this mount, after INIT (which would lower read-ahead again)."""
    connection = Path("/sys/fs/fuse/connections") / device.split(":")[1]
    for path, value in (
        (connection / "max_background", BACKGROUND),
        (connection / "congestion_threshold", BACKGROUND),
        (Path("/sys/class/bdi") / device / "read_ahead_kb", read_ahead_kb),
    ):
        try:
            path.write_text(str(value))
        except OSError as error:
            print(f"constant_fs: {path}: {error.strerror}; measured without", flush=True)


async def serve(operations: ConstantOperations, mountpoint: str) -> None:
    """Run until a signal or an unmount."""
    async with trio.open_nursery() as nursery:

        async def until_told() -> None:
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async for _ in signals:
                    pyfuse3.terminate()
                    return

        async def tune_once() -> None:
            await operations.negotiated.wait()
            tune(device_number(mountpoint), READ_AHEAD_KB)

        nursery.start_soon(until_told)
        nursery.start_soon(tune_once)
        await pyfuse3.main(min_tasks=16, max_tasks=100_000)
        nursery.cancel_scope.cancel()


def main() -> None:
    """Mount, serve, unmount."""
    parser = argparse.ArgumentParser(description="a FUSE mount whose image is constant bytes, at full speed")
    parser.add_argument("size", type=int, help="of the image, in bytes")
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
