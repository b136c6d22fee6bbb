"""Disks and image files, read by ``preadv`` at an offset, past the page cache where possible."""

import contextlib
import errno
import fcntl
import mmap
import os
import stat
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import attrs

from fanoutfs.errors import SourceChangedError, UnusableError, reason
from fanoutfs.ranges import Range
from fanoutfs.source.contract import EndedError
from fanoutfs.source.holes import data_ranges
from fanoutfs.system import locks
from fanoutfs.system.identity import identity_of
from fanoutfs.system.paths import find
from fanoutfs.units import PAGE, SECTOR

BLKSSZGET = 0x1268
"""The ioctl that returns the size of a disk's logical block (linux/fs.h)."""


@attrs.define(eq=False)
class PositionedSource:
    """A block device or a regular file.

    O_DIRECT keeps a disk of a TiB from evicting everything else from the page cache, and saves one copy.
    Where a file system refuses it, at open or at the first read, reads are buffered, and their pages are
    dropped behind them.
    """

    path: str
    identity: str
    size: int
    _fd: int
    _direct: bool
    _or_buffered: bool
    is_file: bool
    """Whether it is a regular file."""

    @classmethod
    def open(cls, path: str, *, or_buffered: bool = True) -> Self:
        """Open what ``path`` names; raises UnusableError, with the reason, when it can't be a source.

        ``or_buffered``: a direct read that is refused as invalid is tried again without O_DIRECT.
        """
        try:
            found, _ = find(path)
            mode = Path(found).stat().st_mode
            fd, direct = _open_direct(found) if stat.S_ISBLK(mode) or stat.S_ISREG(mode) else (-1, False)
        except OSError as error:
            message = f"the source {path} can't be read: {reason(error)}; check its name and rights"
            raise UnusableError(message) from error
        if fd < 0:
            what = "a folder" if stat.S_ISDIR(mode) else "neither a disk nor a file"
            raise UnusableError(f"the source {path} is {what}; name a block device or an image file")
        if not _lock(fd, path):
            who = locks.holders(fd) or "a different program"
            os.close(fd)
            raise UnusableError(f"the source {path} is being written: locked by {who}; wait for that to end")
        status = os.fstat(fd)
        try:
            size = os.lseek(fd, 0, os.SEEK_END)
        except OSError:
            # A file that the kernel makes up while it is read, as in /proc.
            size = 0
        if size == 0:
            os.close(fd)
            raise UnusableError(f"the source {path} is empty, or has no size; there is nothing to show")
        return cls(found, identity_of(status), size, fd, direct, or_buffered, stat.S_ISREG(mode))

    @property
    def origin(self) -> str:
        """Its identity: it is on this machine."""
        return self.identity

    def users(self) -> str:
        """Return the programs that have locked a part of it, as a virtual machine does; empty: none has."""
        return (locks.holders(self._fd) or "a different program") if locks.has_record_lock(self._fd) else ""

    @property
    def sector(self) -> int:
        """See ``Source.sector``: the logical block of a disk; the page cache reads whole pages."""
        if not self._direct:
            return PAGE
        if not self.is_file:
            size: int = struct.unpack("@i", fcntl.ioctl(self._fd, BLKSSZGET, bytes(4)))[0]
            return size
        # What the file system demands of direct reads of a file, nothing tells on all kernels in use.
        room = memoryview(mmap.mmap(-1, PAGE))[SECTOR : 2 * SECTOR]
        try:
            os.preadv(self._fd, [room], SECTOR)
        except OSError as error:
            return PAGE if error.errno == errno.EINVAL else SECTOR
        return SECTOR

    @property
    def overlaps(self) -> bool:
        """See ``Source.overlaps``: each read has its own offset."""
        return True

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        """See ``Source.read_into``. Raises OSError: EIO when the source has become shorter."""
        done = 0
        # Where the source ends, whole pages are requested, which is right for any disk.
        want = -(-length // PAGE) * PAGE if self._direct and offset + length == self.size else length
        while done < length:
            try:
                count = os.preadv(self._fd, cut(slots, done, want), offset + done)
            except OSError as error:
                if (
                    self._direct
                    and self._or_buffered
                    and error.errno == errno.EINVAL
                    and not (offset % PAGE or want % PAGE)
                ):
                    self._go_buffered()
                    continue
                raise
            if count == 0:
                raise EndedError(errno.EIO, f"the source ends at byte {offset + done}, it has become shorter")
            done += count
            if self._direct and done < length and done % PAGE:
                done -= done % PAGE
                if count < PAGE:
                    raise EndedError(errno.EIO, f"the source ends within byte {offset + done + PAGE}")
        if not self._direct:
            os.posix_fadvise(self._fd, offset, length, os.POSIX_FADV_DONTNEED)

    def data(self) -> Sequence[Range] | None:
        """See ``Source.data``: what a sparse file's file system says; None for a disk."""
        return data_ranges(self._fd, self.size) if self.is_file else None

    def _go_buffered(self) -> None:
        flags = fcntl.fcntl(self._fd, fcntl.F_GETFL)
        fcntl.fcntl(self._fd, fcntl.F_SETFL, flags & ~os.O_DIRECT)
        self._direct = False

    def limit_silence(self, seconds: float) -> None:
        """See ``Source.limit_silence``: a file has no connection."""

    def descriptors(self) -> tuple[int, ...]:
        """Return its descriptor."""
        return (self._fd,)

    def close(self) -> None:
        """Close the source.

        close(2) fails for a file whose FUSE server has died. The descriptor is free then, too: to close it
        again would close the file of its next owner.
        """
        with contextlib.suppress(OSError):
            os.close(self._fd)


def require_same(path: str, source: PositionedSource) -> None:
    """Raise SourceChangedError unless a path, which a program has opened by now, still names this source."""
    if identity_of(Path(path).stat()) != source.identity:
        raise SourceChangedError(f"the source {path} was replaced by a different one")


def _lock(fd: int, path: str) -> bool:
    """Lock a source while it is open, so that no copy goes to it; return False if a writer has locked it."""
    try:
        return locks.take_shared(fd)
    except OSError as error:
        os.close(fd)
        raise UnusableError(f"the source {path} can't be locked: {reason(error)}") from error


def _open_direct(path: str) -> tuple[int, bool]:
    """Open for reading, with O_DIRECT where that is accepted; return the descriptor, and whether it is."""
    flags = os.O_RDONLY | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_DIRECT), True
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    return os.open(path, flags), False


def cut(slots: list[memoryview], begin: int, end: int) -> list[memoryview]:
    """Return the pieces of ``slots``, taken as one row of bytes, from ``begin`` to ``end``."""
    pieces, at = [], 0
    for slot in slots:
        low, high = max(begin - at, 0), min(end - at, len(slot))
        if low < high:
            pieces.append(slot[low:high])
        at += len(slot)
    return pieces
