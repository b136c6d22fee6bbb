"""Write and read past the page cache, as far as the file system and the length of the image allow.

O_DIRECT takes the bytes straight from the ring's memory and does not use the page cache. It requires whole
sectors, so the image's last bytes, less than a page, are written without it. On a file system that refuses
O_DIRECT, all bytes are, and are sent to the disk before many pile up in memory (write_behind.py).
"""

import errno
import fcntl
import mmap
import os
from collections.abc import Iterator, Mapping, Sequence

import attrs

from fanoutfs.errors import TargetError, reason
from fanoutfs.ranges import Range
from fanoutfs.system.syscalls import (
    KEEP_SIZE,
    PUNCH_HOLE,
    UNSUPPORTED,
    WAIT_AFTER,
    WAIT_BEFORE,
    WRITE,
    ZERO_RANGE,
    fallocate,
    sync_file_range,
)
from fanoutfs.system.write_behind import WriteBehind
from fanoutfs.units import PAGE

IOV_MAX = os.sysconf("SC_IOV_MAX")

OUT = WAIT_BEFORE | WRITE | WAIT_AFTER

NO_ROOM = "make room there and continue with --resume, or choose a different target"

ADVICE = {
    errno.ENOSPC: NO_ROOM,
    errno.EDQUOT: NO_ROOM,
    errno.EFBIG: "its file system or ulimit -f allows no file of that size; choose a different target",
}

FAILING = (
    "it may be failing or unplugged: see dmesg, then continue with --resume or choose a different target"
)


class UnreadableError(TargetError):
    """The target can't be read back at this place; other places may be right."""


def failed(path: str, what: str, error: OSError, advice: Mapping[int, str] = ADVICE) -> str:
    """Return the message: what can't be done with a target, why, and the remedy by the error's number."""
    return f"the target {path} can't be {what}: {reason(error)}; {advice.get(error.errno or 0, FAILING)}"


@attrs.define(eq=False)
class Descriptor:
    """An open disk or file. Every method raises TargetError with path, place and reason."""

    path: str
    fd: int
    direct: bool
    """Whether writes use O_DIRECT; False once a write with it was refused."""
    _flag: bool = attrs.field(init=False)
    """Whether the descriptor has O_DIRECT set now."""
    _reads_direct: bool = attrs.field(default=True, init=False)
    _refused: set[int] = attrs.field(factory=set, init=False)
    """The modes of fallocate(2) that are not supported."""
    _behind: WriteBehind = attrs.field(factory=WriteBehind, init=False)
    _page: memoryview = attrs.field(init=False)
    """Receives the rest of the last page of a read with O_DIRECT."""

    def __attrs_post_init__(self) -> None:
        self._flag = self.direct
        self._page = memoryview(mmap.mmap(-1, PAGE))

    def write(self, offset: int, pieces: Sequence[memoryview]) -> None:
        """Write adjoining pieces at ``offset``; all but the last are whole pages.

        Their memory can be reused when this returns. Without O_DIRECT it may wait until earlier writes are on
        the disk.
        """
        length = sum(map(len, pieces))
        odd = length % PAGE
        if self.direct and odd:
            *whole, last = pieces
            self._pwritev(offset, [*whole, last[:-odd]], direct=True)
            self._pwritev(offset + length - odd, [last[-odd:]], direct=False)
        else:
            self._pwritev(offset, pieces, direct=self.direct)
        if not self.direct and length:
            self._write_out(offset, length)

    def _pwritev(self, offset: int, pieces: Sequence[memoryview], *, direct: bool) -> None:
        rest = [piece for piece in pieces if len(piece)]
        while rest:
            try:
                self._set_direct(on=direct)
                count = os.pwritev(self.fd, rest[:IOV_MAX], offset)
            except OSError as error:
                if not direct or error.errno != errno.EINVAL:
                    raise self._failed(f"written at byte {offset}", error) from error
                self.direct = direct = False
                continue
            if count == 0:
                raise self._failed(f"written at byte {offset}", OSError(errno.EIO, "it accepts no more"))
            offset += count
            rest = _without(rest, count)

    def _write_out(self, offset: int, length: int) -> None:
        begin, wait = self._behind.wrote(offset, length)
        for at, count in begin:
            self._sync_range(at, count, WRITE)
        for at, count in wait:
            self._sync_range(at, count, OUT)
            os.posix_fadvise(self.fd, at, count, os.POSIX_FADV_DONTNEED)

    def _sync_range(self, offset: int, length: int, flags: int) -> None:
        """Call sync_file_range(2). If it reports a failed write, the next fsync does not report it again."""
        try:
            sync_file_range(self.fd, offset, length, flags)
        except OSError as error:
            what = f"written, as was seen at bytes {offset} to {offset + length}"
            raise self._failed(what, error) from error

    def make_zeros(self, offset: int, length: int, *, hole: bool) -> bool:
        """Make ``length`` bytes zeros without writing them; return whether that is supported.

        A file gets a ``hole``, or keeps its space. A disk writes the zeros itself; for a hole it may discard
        the blocks, if they read as zeros then (fallocate(2)). This requires whole sectors.
        """
        mode = PUNCH_HOLE if hole else ZERO_RANGE
        if mode in self._refused:
            return False
        try:
            fallocate(self.fd, mode | KEEP_SIZE, offset, length)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise self._failed(f"cleared at byte {offset}", error) from error
            self._refused.add(mode)
        return mode not in self._refused

    def filled(self, offset: int, length: int) -> Iterator[Range]:
        """Yield the parts of a range of a file, in whole pages, that may not be zeros: what is no hole."""
        end, at = offset + length, offset
        while at < end:
            try:
                begin = os.lseek(self.fd, at, os.SEEK_DATA)
                at = os.lseek(self.fd, begin, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                begin, at = at, end
            begin -= begin % PAGE
            at = min(end, -(-at // PAGE) * PAGE)
            if begin < at:
                yield begin, at - begin

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer``, page-aligned memory, from the disk at ``offset``, a multiple of a page.

        Raise UnreadableError, which names the place; any other TargetError is of an earlier write.
        """
        done = 0
        while done < len(buffer):
            read = self._read_direct if self._reads_direct else self._read_dropped
            try:
                count = read(offset + done, buffer[done:])
            except OSError as error:
                if not self._reads_direct or error.errno != errno.EINVAL:
                    raise self._unreadable(offset + done, error) from error
                self._reads_direct = False
                # Otherwise the kernel reads ahead, and the pages are dropped before they are used.
                os.posix_fadvise(self.fd, 0, 0, os.POSIX_FADV_RANDOM)
                continue
            if count == 0:
                raise self._unreadable(offset + done, OSError(errno.EIO, "it ends there"))
            done += count

    def _read_direct(self, offset: int, buffer: memoryview) -> int:
        """Read past the page cache; the kernel writes dirty pages out first."""
        self._set_direct(on=True)
        whole = len(buffer) - len(buffer) % PAGE
        pieces = [buffer[:whole], self._page] if whole < len(buffer) else [buffer]
        count = min(os.preadv(self.fd, pieces, offset), len(buffer))
        if count > whole:
            buffer[whole:count] = self._page[: count - whole]
        return count

    def _read_dropped(self, offset: int, buffer: memoryview) -> int:
        """Read through the page cache, and drop these pages before and after."""
        self._set_direct(on=False)
        begin = offset - offset % PAGE
        length = -(-(offset + len(buffer)) // PAGE) * PAGE - begin
        self._sync_range(begin, length, OUT)
        os.posix_fadvise(self.fd, begin, length, os.POSIX_FADV_DONTNEED)
        count = os.preadv(self.fd, [buffer], offset)
        os.posix_fadvise(self.fd, begin, length, os.POSIX_FADV_DONTNEED)
        return count

    def flush(self) -> None:
        """Flush everything written, also from the disk's cache: fsync(2)."""
        try:
            os.fsync(self.fd)
        except OSError as error:
            raise self._failed("flushed to its disk", error) from error

    def _set_direct(self, *, on: bool) -> None:
        """Set or clear O_DIRECT on the descriptor; raise OSError, EINVAL where it is not supported."""
        if on != self._flag:
            flags = fcntl.fcntl(self.fd, fcntl.F_GETFL)
            fcntl.fcntl(self.fd, fcntl.F_SETFL, flags | os.O_DIRECT if on else flags & ~os.O_DIRECT)
            self._flag = on

    def _failed(self, what: str, error: OSError) -> TargetError:
        return TargetError(failed(self.path, what, error))

    def _unreadable(self, offset: int, error: OSError) -> UnreadableError:
        return UnreadableError(failed(self.path, f"read back at byte {offset}", error))


def _without(pieces: list[memoryview], count: int) -> list[memoryview]:
    """Return ``pieces`` without their first ``count`` bytes."""
    for number, piece in enumerate(pieces):
        if count < len(piece):
            return [piece[count:], *pieces[number + 1 :]]
        count -= len(piece)
    return []
