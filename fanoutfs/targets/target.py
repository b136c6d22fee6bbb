"""What one copy writes to, a disk or a file: every block at its own offset, and block 0 last of all.

An unfinished copy must not look whole: a disk whose partition table is there boots or mounts, and half of it
is somebody's old data. So zeros stand in block 0 from before the first other byte is written until all
others are durable. The order on the target:

    zeros in block 0    flush    all other blocks, in any order    flush    block 0    flush

*Flush* is fsync, which of files and disks alike also has the device write out its own cache: fsync(2), and
Documentation/block/writeback_cache_control.rst in the kernel's sources.
"""

import errno
import mmap
import os
from collections.abc import Sequence
from pathlib import Path

import attrs

from fanoutfs.errors import TargetError
from fanoutfs.targets.descriptor import Descriptor, UnreadableError, failed
from fanoutfs.targets.syscalls import UNSUPPORTED, fallocate
from fanoutfs.targets.zeros import equal, is_zero, zeros
from fanoutfs.units import PAGE


@attrs.define(eq=False)
class Target:
    """Somewhere that an image of ``size`` bytes is copied to, in blocks of ``block`` bytes.

    ``fd`` is open for reading and writing, with O_DIRECT or not as ``direct`` says; from now on it is the
    target's. Offsets are multiples of ``block``, pieces are whole blocks but for the image's last one. Every
    method raises TargetError, which names path, place and reason; the copy has then failed.
    """

    path: str
    fd: int
    size: int
    block: int
    is_disk: bool
    direct: bool
    sparse: bool
    """Whether blocks of zeros are made holes, by ``clear``."""
    fresh: bool
    """A file that was just made or is empty: what isn't written reads as zeros."""
    written: int = attrs.field(default=0, init=False)
    """Bytes of the image that were really written: neither holes nor what was there already."""
    _io: Descriptor = attrs.field(init=False)
    _wiped: bool = attrs.field(default=False, init=False)
    """Whether block 0 is known to be zeros."""
    _old: mmap.mmap = attrs.field(init=False)
    """Page-aligned memory for what the target has."""

    def __attrs_post_init__(self) -> None:
        self._io = Descriptor(self.path, self.fd, self.direct)
        self._old = mmap.mmap(-1, PAGE)

    def prepare(self, *, keep: bool) -> None:
        """Make it as large as the image, and wipe block 0; with ``keep`` (--resume) that is left for later.

        A file is preallocated unless it is to be sparse: that a disk is too full is then known before a byte
        was copied, and the file is in few pieces. Where a file system can't, it is done without.
        """
        if not self.is_disk:
            self._resize()
            if not self.sparse:
                self._preallocate()
        if not keep:
            self._wipe()

    def _resize(self) -> None:
        try:
            # Also a cut that changes nothing says that the file was modified.
            if os.fstat(self.fd).st_size != self.size:
                os.ftruncate(self.fd, self.size)
        except OSError as error:
            raise TargetError(failed(self.path, f"made {self.size} bytes long", error)) from error

    def _preallocate(self) -> None:
        try:
            if os.fstat(self.fd).st_blocks * 512 < self.size:
                fallocate(self.fd, 0, 0, self.size)
        except OSError as error:
            if error.errno in UNSUPPORTED:
                return
            if self.fresh:
                # What it has got so far is what the disk had left.
                os.ftruncate(self.fd, 0)
            raise TargetError(failed(self.path, f"given its {self.size} bytes", error)) from error

    def wipe_first(self) -> None:
        """Put zeros in block 0, durably, unless they are there: before the first other write of --resume."""
        if self._wiped:
            return
        length = min(self.block, self.size)
        old = self._room(length)
        try:
            self._io.read_into(0, memoryview(old)[:length])
        except UnreadableError:
            self._wipe()
            return
        self._wiped = is_zero(memoryview(old)[:length])
        if not self._wiped:
            self._wipe()

    def _wipe(self) -> None:
        length = min(self.block, self.size)
        if self.sparse:
            self._zero(0, length)
        elif not self.fresh:
            self._io.write(0, zeros(length))
        self._io.flush()
        self._wiped = True

    def write(self, offset: int, pieces: Sequence[memoryview]) -> None:
        """Write what adjoins in the image from ``offset`` on; when it returns the memory is free again.

        Nothing is durable before ``finish``. Without O_DIRECT it may wait until the disk has earlier ones.
        """
        self._io.write(offset, pieces)
        self.written += sum(map(len, pieces))

    def clear(self, offset: int, length: int) -> None:
        """Make ``length`` bytes zeros, by a hole or a discard where that can be: for --sparse."""
        self.written += self._zero(offset, length)

    def _zero(self, offset: int, length: int) -> int:
        """Write zeros where the target has other bytes; return how many bytes were written."""
        if self.fresh:
            return 0
        # A file ends where the image ends, a disk may go on: of that only whole pages.
        punched = length - length % PAGE if self.is_disk else length
        if punched and not self._io.punch(offset, punched):
            punched = 0
        self._io.write(offset + punched, zeros(length - punched))
        return length - punched

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer``, page-aligned memory, with what the disk has at ``offset``, past the page cache.

        Where that fails it is tried again in sixteenths, down to the page, which the error then names: of a
        bad sector within 8 MiB that is four reads that fail, each of which may take seconds.
        """
        try:
            self._io.read_into(offset, buffer)
        except UnreadableError:
            if len(buffer) <= PAGE:
                raise
            step = -(-len(buffer) // (16 * PAGE)) * PAGE
            for at in range(0, len(buffer), step):
                self.read_into(offset + at, buffer[at : at + step])

    def differing(self, offset: int, pieces: Sequence[memoryview]) -> list[int]:
        """Return the numbers of the adjoining ``pieces`` that the target has not got: for --resume.

        What can't be read back counts as different: to be written anew is what a bad sector needs.
        """
        length = sum(map(len, pieces))
        old = self._room(length)
        try:
            self._io.read_into(offset, memoryview(old)[:length])
        except UnreadableError:
            return [0] if len(pieces) == 1 else self._differing_singly(offset, pieces)
        found, at = [], 0
        for number, piece in enumerate(pieces):
            if not equal(old, at, piece):
                found.append(number)
            at += len(piece)
        return found

    def _differing_singly(self, offset: int, pieces: Sequence[memoryview]) -> list[int]:
        found = []
        for number, piece in enumerate(pieces):
            if self.differing(offset, [piece]):
                found.append(number)
            offset += len(piece)
        return found

    def _room(self, length: int) -> mmap.mmap:
        if len(self._old) < length:
            self._old = mmap.mmap(-1, length)
        return self._old

    def finish(self, first: memoryview | None) -> None:
        """Make all that was written durable, then write block 0 and make that durable.

        ``first`` is block 0's bytes; None when --resume found it right and nothing to write.
        """
        self._io.flush()
        if self.fresh:
            self._flush_folder()
        if first is None:
            return
        if self.sparse and is_zero(first):
            self.clear(0, len(first))
        else:
            self.write(0, [first])
        self._io.flush()

    def _flush_folder(self) -> None:
        """Make a new file's name durable, where its folder may be opened for that and takes it."""
        folder = Path(self.path).resolve().parent
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EINVAL):
                raise TargetError(failed(self.path, f"entered in {folder} durably", error)) from error

    def close(self) -> None:
        """Close the target; what was not finished is not durable."""
        os.close(self.fd)
