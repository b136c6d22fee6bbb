"""Dropping the page cache behind readers, so that four readers don't push each other's read-ahead out.

The notification (FUSE_NOTIFY_INVAL_INODE, linux/fuse.h) is 40 bytes written to the session's descriptor;
pyfuse3's own call takes no range. Two rules keep it from a deadlock: it is sent from a worker thread, never
the event loop's, for it waits for pages that only the loop can deliver; and it stays MARGIN behind, where no
read-ahead is in flight. At most one is under way per handle.
"""

import errno
import logging
import os
import struct

import attrs
import trio

from fanoutfs.fuse.files import ReaderHandle
from fanoutfs.units import MIB

log = logging.getLogger(__name__)

CHUNK = 4 * MIB
"""How much is dropped at a time."""

MARGIN = 4 * MIB
"""How far behind the position, which is itself up to two read-aheads of 1 MiB ahead of the reader."""

NOTIFY_INVAL_INODE = 2
NOTIFICATION = struct.Struct("=IiQQqq")
"""fuse_out_header (len, error, unique), then fuse_notify_inval_inode_out (ino, off, len)."""


@attrs.define(eq=False)
class DropBehind:
    """Sends the notifications; ``descriptor`` is the session's, None switches all of it off."""

    descriptor: int | None = None
    nursery: trio.Nursery | None = None

    def passed(self, handle: ReaderHandle) -> None:
        """Note that a cached reader has moved on; drops what it left behind when that is worth a call."""
        if self.descriptor is None or self.nursery is None:
            return
        stream = handle.consumer.stream
        if not stream.sequential or len(handle.sharing) > 1:
            # What one reader has left behind another may find in the same cache.
            handle.dropped = None
            return
        if handle.dropped is None or handle.dropped > stream.position:
            handle.dropped = max(0, stream.position - MARGIN) // MIB * MIB
        length = (stream.position - MARGIN - handle.dropped) // MIB * MIB
        if length >= CHUNK and not handle.dropping:
            handle.dropping = True
            self.nursery.start_soon(self._drop, handle, handle.dropped, length)
            handle.dropped += length

    async def _drop(self, handle: ReaderHandle, offset: int, length: int) -> None:
        try:
            await trio.to_thread.run_sync(self._notify, handle.inode, offset, length, abandon_on_cancel=True)
        finally:
            handle.dropping = False

    def _notify(self, inode: int, offset: int, length: int) -> None:
        descriptor = self.descriptor
        if descriptor is None:
            return
        message = NOTIFICATION.pack(NOTIFICATION.size, NOTIFY_INVAL_INODE, 0, inode, offset, length)
        try:
            os.write(descriptor, message)
        except OSError as error:
            # ENOENT: the inode was forgotten meanwhile, and its pages with it. Else the mount is ending.
            if error.errno != errno.ENOENT:
                log.info("the page cache behind a reader stays: %s", error)
