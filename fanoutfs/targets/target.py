"""The target of one copy, a disk or a file: every block is written at its offset, block 0 last.

An unfinished copy must not look complete: a disk with a partition table boots or mounts, although half of it
may be old data. So block 0 holds zeros from before the first other byte is written until all other blocks are
durable. The order on the target:

    zeros in block 0    flush    all other blocks, in any order    flush    block 0    flush

*Flush* is fsync(2), which for files and disks also flushes the device's cache; see
Documentation/block/writeback_cache_control.rst in the kernel's sources.
"""

import errno
import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from fanoutfs.errors import TargetError
from fanoutfs.ranges import Range
from fanoutfs.system.syscalls import UNSUPPORTED, fallocate
from fanoutfs.targets.descriptor import ADVICE, Descriptor, UnreadableError, failed
from fanoutfs.units import ANY_SIZE, PAGE, format_size
from fanoutfs.zeros import equal, is_zero, zeros

NO_ROOM = "make room there, choose a different target, or add --sparse, which leaves out blocks of zeros"
WITHOUT_ROOM = {**ADVICE, errno.ENOSPC: NO_ROOM, errno.EDQUOT: NO_ROOM}

FIXED = "a file of this kind keeps its length; choose a different target, or one that has this length"
OF_FIXED_LENGTH = ADVICE | dict.fromkeys((errno.EACCES, *UNSUPPORTED), FIXED)


class NotBegunError(TargetError):
    """The target can't have the size of the image; nothing was written to it."""


@attrs.define(eq=False)
class Target:
    """A disk or file to which an image of ``size`` bytes is copied, in blocks of ``block`` bytes.

    It owns ``fd``, which is open for reading and writing, with O_DIRECT if ``direct`` is True. Offsets are
    multiples of ``block``; pieces are whole blocks, except the image's last one. Every method raises
    TargetError, with path, place and reason; the copy has then failed.
    """

    path: str
    fd: int
    size: int
    block: int
    is_disk: bool
    direct: bool
    sparse: bool
    """Whether blocks of zeros become holes (``clear``)."""
    fresh: bool
    """A file that is new or empty: what is not written reads as zeros."""
    room: int | None = None
    """Bytes of a disk; None: a file grows."""
    has_first: bool = True
    """Whether block 0 is copied; otherwise it stays as it is, and does not mark an unfinished copy."""
    written: int = attrs.field(default=0, init=False)
    """Bytes of the image that were written, without holes and what was on the target already."""
    _io: Descriptor = attrs.field(init=False)
    _wiped: bool = attrs.field(default=False, init=False)
    """Whether block 0 is known to be zeros."""
    _old: mmap.mmap = attrs.field(init=False)
    """Page-aligned memory for the target's content."""

    def __attrs_post_init__(self) -> None:
        self._wiped = not self.has_first
        self._io = Descriptor(self.path, self.fd, self.direct)
        self._old = mmap.mmap(-1, PAGE)

    def prepare(self, *, keep: bool) -> None:
        """Make the target as large as the image, and wipe block 0, unless ``keep`` (--resume) defers that.

        A file is preallocated, unless it is sparse or its file system can't: a full disk is then noticed
        before a byte is copied, and the file has few fragments. Raise NotBegunError if it can't be
        that large.
        """
        if not self.is_disk and self.size != ANY_SIZE:
            before = os.fstat(self.fd).st_size
            self._resize()
            if not self.sparse:
                self._preallocate(before)
        if not keep and self.has_first:
            self._wipe()

    def settle(self, size: int) -> None:
        """Record the size of the image, which was not known before."""
        self.size = size
        if not self.is_disk:
            self._resize()

    def _require_room(self, end: int) -> None:
        """Raise TargetError if a disk ends before ``end``: the size of the image was not known."""
        if self.room is not None and end > self.room:
            raise TargetError(
                f"the target {self.path} is too small: it has {format_size(self.room)}, and the image is "
                "larger; choose a larger one"
            )

    def _resize(self) -> None:
        try:
            # A truncate to the same size would change the file's modification time.
            if os.fstat(self.fd).st_size != self.size:
                os.ftruncate(self.fd, self.size)
        except OSError as error:
            message = failed(self.path, f"made {self.size} bytes long", error, OF_FIXED_LENGTH)
            raise NotBegunError(message) from error

    def _preallocate(self, before: int) -> None:
        """Allocate the file's space; if there is too little, truncate it to its old size, ``before``."""
        try:
            if os.fstat(self.fd).st_blocks * 512 < self.size:
                fallocate(self.fd, 0, 0, self.size)
        except OSError as error:
            if error.errno in UNSUPPORTED:
                return
            if before < self.size:
                # It was given all the space that was left.
                os.ftruncate(self.fd, before)
            raise NotBegunError(
                failed(self.path, f"given its {self.size} bytes", error, WITHOUT_ROOM)
            ) from error

    def wipe_first(self) -> None:
        """Make block 0 durably zeros, if it is not: called before the first other write of --resume."""
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
            self._zero(0, length, hole=True)
        elif not self.fresh:
            self._io.write(0, zeros(length))
        self._io.flush()
        self._wiped = True

    def write(self, offset: int, pieces: Sequence[memoryview]) -> None:
        """Write adjoining pieces at ``offset``; their memory can be reused when this returns.

        Nothing is durable before ``finish``. Without O_DIRECT it may wait for earlier writes.
        """
        self._require_room(offset + sum(map(len, pieces)))
        self._io.write(offset, pieces)
        self.written += sum(map(len, pieces))

    def clear(self, offset: int, length: int) -> None:
        """Make ``length`` bytes zeros, by a hole or a discard where possible: for --sparse."""
        self._require_room(offset + length)
        self.written += self._zero(offset, length, hole=True)

    def zero(self, offset: int, length: int) -> None:
        """Make ``length`` bytes zeros, of blocks that are not read; without --sparse, space is kept."""
        if self.sparse:
            self.clear(offset, length)
        else:
            self._zero(offset, length, hole=False)
            self.written += 0 if self.fresh else length

    def filled(self, offset: int, length: int) -> Iterator[Range]:
        """Yield the parts of a range, in whole pages, that may not be zeros."""
        if self.is_disk:
            yield offset, length
        elif not self.fresh:
            yield from self._io.filled(offset, length)

    def _zero(self, offset: int, length: int, *, hole: bool) -> int:
        """Make bytes zeros; return how many had to be written."""
        if self.fresh:
            return 0
        # A file ends where the image ends. A disk may be larger: only whole pages of it.
        made = length - length % PAGE if self.is_disk else length
        if made and not self._io.make_zeros(offset, made, hole=hole):
            made = 0
        self._io.write(offset + made, zeros(length - made))
        return length - made

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer``, page-aligned memory, from the disk at ``offset``, past the page cache.

        A read that fails is repeated in sixteenths, down to a page, which the error names. For a bad sector
        within 8 MiB four reads fail, each of which may take seconds.
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
        """Return the numbers of the adjoining ``pieces`` that differ from the target: for --resume.

        What can't be read back counts as different: a bad sector has to be written again.
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
        """Make everything written durable, then write block 0 and make that durable.

        ``first`` is block 0; None if it stays, because --resume found it right and nothing was written, or
        because it is not copied.
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
        """Make a new file's name durable, if its folder can be opened and supports fsync."""
        folder = Path(os.path.realpath(self.path)).parent
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
        """Close the target; without ``finish`` nothing is durable."""
        os.close(self.fd)
