"""A spool: what was read of a source is kept in a file without a name, so that nothing is read twice.

It wraps a source of any kind. The file is sparse, with each byte at its own offset. It has no name, so it is
gone when the last process that has it open ends, however that happens.

A pipe is read on into the spool where a reader needs what lies ahead. When the file can take no more, the
source is read as if there were no spool, and what is in the file stays usable.
"""

import contextlib
import errno
import logging
import mmap
import os
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.source.contract import Source
from fanoutfs.source.local import cut
from fanoutfs.source.pipe_source import PipeSource
from fanoutfs.source.wrapper import Wrapper, find_layer
from fanoutfs.system import mountpoint
from fanoutfs.system.syscalls import WAIT_AFTER, WAIT_BEFORE, WRITE, sync_file_range
from fanoutfs.system.undo import undone_on_failure
from fanoutfs.system.write_behind import WriteBehind
from fanoutfs.units import MIB, PAGE

log = logging.getLogger(__name__)

NO_TMPFILE = {errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL}
"""What open(2) says of O_TMPFILE where a file system, such as NFS, has no files without a name."""

STEP = MIB
"""Bytes of a pipe that are read ahead at a time."""

AHEAD_SECONDS = 0.5
"""How long a pipe is read ahead before other readers have their turn."""

OUT = WAIT_BEFORE | WRITE | WAIT_AFTER


def make_file(folder: Path) -> int:
    """Return a new file in a folder that has no name there. Raise UnusableError."""
    _, mount = mountpoint.locate(folder)
    if mount is not None:
        raise UnusableError(f"--spool {folder} lies inside a mount of fanoutfs; name a folder elsewhere")
    try:
        try:
            return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in NO_TMPFILE:
                raise
        fd, name = tempfile.mkstemp(prefix=".fanoutfs-spool-", dir=folder)
        os.unlink(name)  # noqa: PTH108 (text)
    except OSError as error:
        raise UnusableError(
            f"no spool can be made in {folder}: {reason(error)}; name a folder that this user can write"
        ) from error
    return fd


@attrs.define(eq=False)
class Spool(Wrapper):
    """A source, and the file with what was read of it; owns both.

    One thread at a time reads.
    """

    folder: Path
    _fd: int
    taken: int = attrs.field(default=0, init=False)
    """Bytes read from the source itself."""
    trouble: str | None = attrs.field(default=None, init=False)
    """Why the file takes no more; None: it does."""
    _begins: list[int] = attrs.field(factory=list, init=False)
    _ends: list[int] = attrs.field(factory=list, init=False)
    """The ranges of bytes in the file: sorted, disjoint, not adjoining."""
    _behind: WriteBehind = attrs.field(factory=WriteBehind, init=False)
    _step: memoryview = attrs.field(init=False)
    """Page-aligned memory, for what is read ahead."""

    def __attrs_post_init__(self) -> None:
        self._step = memoryview(mmap.mmap(-1, STEP))

    @classmethod
    def around(cls, source: Source, folder: Path) -> Self:
        """Make a spool in a folder for an open source; if that fails, close it, and raise UnusableError."""
        with undone_on_failure(source.close):
            return cls(source, folder.absolute(), make_file(folder))

    def descriptors(self) -> tuple[int, ...]:
        """Return the descriptors of the source, and that of the file."""
        return (*super().descriptors(), self._fd)

    def close(self) -> None:
        """Close the source and the file in this process."""
        super().close()
        os.close(self._fd)

    # What the file has

    @property
    def kept(self) -> int:
        """Bytes in the file."""
        return sum(self._ends) - sum(self._begins)

    def kept_from(self, offset: int) -> int:
        """Return where the range with the byte at ``offset`` ends; ``offset`` if that is not in the file."""
        i = bisect_right(self._begins, offset) - 1
        return max(offset, self._ends[i]) if i >= 0 else offset

    def _pieces(self, begin: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """Yield the pieces of a range, in order, and whether each is in the file."""
        while begin < end:
            stop = min(end, self.kept_from(begin))
            if stop > begin:
                yield begin, stop, True
            else:
                i = bisect_right(self._begins, begin)
                stop = min(end, self._begins[i]) if i < len(self._begins) else end
                yield begin, stop, False
            begin = stop

    def _keep(self, begin: int, end: int) -> None:
        """Record that a range, which was missing, is in the file."""
        i = bisect_right(self._begins, begin)
        self._begins.insert(i, begin)
        self._ends.insert(i, end)
        for left in (i, i - 1):
            if 0 <= left < len(self._begins) - 1 and self._ends[left] == self._begins[left + 1]:
                del self._begins[left + 1], self._ends[left]

    def _lose(self, begin: int, end: int) -> None:
        """Record that a range within one that is in the file can't be read back."""
        i = bisect_right(self._begins, begin) - 1
        low, high = self._begins.pop(i), self._ends.pop(i)
        for rest in ((low, begin), (end, high)):
            if rest[0] < rest[1]:
                self._keep(*rest)

    # Reading

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        """See ``Source.read_into``: from the file what is there, from the source the rest."""
        if (stream := self._stream) is not None:
            while self.trouble is None and stream.consumed < offset:
                self._read_ahead(min(STEP, offset - stream.consumed))
        for begin, end, is_kept in list(self._pieces(offset, offset + length)):
            # The end of the last slot is room, too.
            room = cut(slots, begin - offset, -(-(end - offset) // PAGE) * PAGE)
            if not (is_kept and self._read_back(begin, end, room)):
                self.source.read_into(begin, end - begin, room)
                self.taken += end - begin
                self._write(begin, end - begin, room)

    def _read_back(self, begin: int, end: int, room: list[memoryview]) -> bool:
        """Read from the file; return False if that fails, as a disk may."""
        done = begin
        try:
            while done < end:
                done += _preadv(self._fd, cut(room, done - begin, end - begin), done)
            with contextlib.suppress(OSError):
                os.posix_fadvise(self._fd, begin, end - begin, os.POSIX_FADV_DONTNEED)
        except OSError as error:
            log.warning("the spool in %s can't be read at byte %d: %s", self.folder, done, reason(error))
            self._lose(begin, end)
            return False
        return True

    def _write(self, offset: int, length: int, room: list[memoryview]) -> None:
        """Keep what was read; when the file can take no more, go on without."""
        if self.trouble is not None:
            return
        done = 0
        try:
            while done < length:
                done += os.pwritev(self._fd, cut(room, done, length), offset + done)
            self._write_out(offset, length)
        except OSError as error:
            self.trouble = reason(error)
            log.warning(
                "the spool in %s takes no more after %d bytes: %s; the source is read on without it",
                self.folder, self.kept, self.trouble)  # fmt: skip
            return
        self._keep(offset, offset + length)

    def _write_out(self, offset: int, length: int) -> None:
        """Send to the disk what was written a while ago, and drop it from the page cache."""
        begin, wait = self._behind.wrote(offset, length)
        for at, count in begin:
            sync_file_range(self._fd, at, count, WRITE)
        for at, count in wait:
            sync_file_range(self._fd, at, count, OUT)
            os.posix_fadvise(self._fd, at, count, os.POSIX_FADV_DONTNEED)

    # Pipes

    @property
    def _stream(self) -> PipeSource | None:
        return find_layer(self.source, PipeSource)

    def prefetch(self, offset: int, length: int) -> int:
        """As ``PipeSource.prefetch``; a pipe is read ahead up to ``offset``, AHEAD_SECONDS at a time."""
        stream, end = self._stream, self.kept_from(offset)
        if stream is None or end >= offset + length:
            return length
        until = time.monotonic() + AHEAD_SECONDS
        while self.trouble is None and stream.consumed < offset:
            count = stream.prefetch(stream.consumed, min(STEP, offset - stream.consumed))
            if not count or time.monotonic() > until:
                return 0
            try:
                self._read_ahead(count)
            except OSError:
                return length
        return end - offset + stream.prefetch(end, offset + length - end)

    def _read_ahead(self, count: int) -> None:
        """Read the next ``count`` bytes of the pipe, STEP at most, into the file."""
        assert self._stream is not None
        at = self._stream.consumed
        self.source.read_into(at, count, [self._step])
        self._write(at, count, [self._step])
        if self.trouble is None:
            self.taken += count
        else:
            # It has no place but the pipe.
            self._stream.put_back(count)

    def learn_size(self, progress: Callable[[int], None]) -> None:
        """Read a pipe to its end, so that its size is known; ``progress`` is called with the bytes so far.

        Raise UnusableError if it breaks, or the file can't take all of it.
        """
        stream = self._stream
        assert stream is not None
        while not stream.size_is_known or stream.consumed < stream.size:
            count = stream.prefetch(stream.consumed, STEP, None)
            if not count:
                break
            try:
                self._read_ahead(count)
            except OSError as error:
                left = "; nothing is left of it" if stream.once else ""
                raise UnusableError(f"{reason(error)}{left}") from error
            if self.trouble is not None:
                raise UnusableError(
                    f"the spool in {self.folder} has no room for the source {self.path}: {self.trouble} "
                    f"after {stream.consumed} bytes; name a folder with more room, with --spool DIR"
                    f"{', or the size with --size' if stream.once else ''}"
                )
            progress(stream.consumed)


def _preadv(fd: int, room: list[memoryview], offset: int) -> int:
    count = os.preadv(fd, room, offset)
    if not count:
        raise OSError(errno.EIO, "it has become shorter")
    return count
