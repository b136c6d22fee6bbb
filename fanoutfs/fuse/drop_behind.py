"""Drop the page cache behind readers, so that several readers do not evict each other's read-ahead.

The notification (FUSE_NOTIFY_INVAL_INODE, linux/fuse.h) is 40 bytes written to the session's descriptor;
pyfuse3's own call takes no range. Two rules prevent a deadlock. A worker thread sends the notification, never
the event loop, because it waits for pages that only the loop can deliver. And the range ends MARGIN behind
the reader, where no read-ahead is in flight. Each handle has at most one notification under way.
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
"""Bytes: the least that one notification drops."""

MARGIN = 4 * MIB
"""Bytes behind the position, which is itself up to two read-aheads of 1 MiB ahead of the reader."""

NOTIFY_INVAL_INODE = 2
NOTIFICATION = struct.Struct("=IiQQqq")
"""fuse_out_header (len, error, unique), then fuse_notify_inval_inode_out (ino, off, len)."""


@attrs.define(eq=False)
class DropBehind:
    """Sends the notifications while ``run`` is running."""

    _descriptor: int | None = attrs.field(default=None, init=False)
    _nursery: trio.Nursery | None = attrs.field(default=None, init=False)

    async def run(self, descriptor: int) -> None:
        """Send notifications through the session's descriptor until cancelled."""
        async with trio.open_nursery() as nursery:
            self._descriptor, self._nursery = descriptor, nursery
            try:
                await trio.sleep_forever()
            finally:
                self._descriptor = self._nursery = None

    def passed(self, handle: ReaderHandle) -> None:
        """Record that a cached reader has advanced; drop the pages behind it if they amount to CHUNK."""
        if self._nursery is None:
            return
        reader = handle.consumer
        if not reader.sequential or len(handle.sharing) > 1:
            # Another reader may still use the pages behind this one.
            handle.dropped = None
            return
        if handle.dropped is None or handle.dropped > reader.offset:
            handle.dropped = max(0, reader.offset - MARGIN) // MIB * MIB
        length = (reader.offset - MARGIN - handle.dropped) // MIB * MIB
        if length >= CHUNK and not handle.dropping:
            handle.dropping = True
            self._nursery.start_soon(self._drop, handle, handle.dropped, length)
            handle.dropped += length

    async def _drop(self, handle: ReaderHandle, offset: int, length: int) -> None:
        try:
            await trio.to_thread.run_sync(self._notify, handle.inode, offset, length, abandon_on_cancel=True)
        finally:
            handle.dropping = False

    def _notify(self, inode: int, offset: int, length: int) -> None:
        descriptor = self._descriptor
        if descriptor is None:
            return
        message = NOTIFICATION.pack(NOTIFICATION.size, NOTIFY_INVAL_INODE, 0, inode, offset, length)
        try:
            os.write(descriptor, message)
        except OSError as error:
            # ENOENT: the kernel has forgotten the inode, with its pages. Other errors: the mount is ending.
            if error.errno != errno.ENOENT:
                log.info("the page cache behind a reader was not dropped: %s", error)
