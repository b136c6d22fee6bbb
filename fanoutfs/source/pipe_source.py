"""A source that can be read once, in order: a pipe, a FIFO, a socket, or the output of a program.

Whatever has come is kept in a buffer until it is read: a pipe gives its bytes when it likes, and a read of
the source is of whole blocks. So ``prefetch`` waits a moment, and says how much can be read at once; a pipe
that has nothing holds up no reader of what has come already.

The end of a pipe does not say whether everything has come. With a size that was given beforehand, an earlier
end is an error for the readers of what is missing; and a program's end is that of its output only if ``why``
finds that the program has succeeded.
"""

import contextlib
import errno
import fcntl
import math
import mmap
import os
import select
import termios
import time
from array import array
from collections.abc import Callable
from typing import Self

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.source.contract import LostError
from fanoutfs.system.identity import file_identity
from fanoutfs.system.streams import redirect_to_null
from fanoutfs.units import ANY_SIZE, MIB, PAGE

STDIN = "-"
"""The name of standard input as a source."""

QUIET_SECONDS = 0.05
"""How long a pipe may be silent before a read goes on with what has come: several times what a program that
writes steadily needs for the next piece."""

PREFETCH_SECONDS = 0.5
"""How long bytes are collected before a read goes on with what has come: readers wait for that."""

CAPACITY = MIB
"""Bytes that the kernel may keep in a pipe, where it permits that (pipe(7)): fewer, larger reads."""


def all_is_well() -> str | None:
    """Return None: the end of a pipe is taken for that of its content."""
    return None


@attrs.define(eq=False)
class PipeSource:
    """A pipe that is open for reading; owns the descriptor.

    One thread at a time reads; ``close`` may be called meanwhile, and ends a wait.
    """

    path: str
    identity: str
    _fd: int
    size: int = ANY_SIZE
    """Bytes; ANY_SIZE until the end was seen, unless it was given."""
    origin: str | None = None
    once: bool = True
    """It can't be opened again; a program's output can, by starting the program again."""
    why: Callable[[], str | None] = all_is_well
    """Called at the end of the pipe: why that is not the end of its content, in a line; None: it is. May wait
    a few seconds for the end of the program that wrote."""
    consumed: int = attrs.field(default=0, init=False)
    """Bytes given to readers so far: the next read is there."""
    trouble: str | None = attrs.field(default=None, init=False)
    """Why no more bytes will come, if that is an error."""
    _given: int | None = attrs.field(init=False)
    """The size that was known from the start."""
    _ended: bool = attrs.field(default=False, init=False)
    _closed: bool = attrs.field(default=False, init=False)
    _buffer: mmap.mmap = attrs.field(factory=lambda: mmap.mmap(-1, MIB), init=False)
    _begin: int = attrs.field(default=0, init=False)
    _end: int = attrs.field(default=0, init=False)
    """The bytes that have come and were not read are ``_buffer[_begin:_end]``."""
    _wake: int = attrs.field(init=False)
    """An eventfd that ends a wait."""
    _waits: bool = attrs.field(default=False, init=False)
    """Whether a thread of this process waits."""

    def __attrs_post_init__(self) -> None:
        self._given = None if self.size == ANY_SIZE else self.size
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    @classmethod
    def open(cls, path: str, size: int | None) -> Self:
        """Open a FIFO or a pipe by its path; for "-", take over standard input, which is /dev/null then.

        Does not wait for a program that writes. Raise UnusableError if it can't be opened.
        """
        try:
            fd = _take_stdin() if path == STDIN else os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            message = f"the source {path} can't be read: {reason(error)}; check its name and rights"
            raise UnusableError(message) from error
        _widen(fd)
        return cls(path, file_identity(os.fstat(fd)), fd, ANY_SIZE if size is None else size)

    @property
    def arrived(self) -> int:
        """Bytes that have been taken from the pipe so far."""
        return self.consumed + self._end - self._begin

    @property
    def size_is_known(self) -> bool:
        """Whether ``size`` is the size, given or found at the end."""
        return self.size != ANY_SIZE

    @property
    def ended(self) -> bool:
        """Whether the end has come, or an error."""
        return self._ended

    def surplus(self) -> bool:
        """Return whether more has come than the size that was given."""
        return (
            not self._ended
            and not self._closed
            and self.arrived >= self.size
            and _count_waiting(self._fd) > 0
        )

    def prefetch(self, offset: int, length: int, seconds: float | None = QUIET_SECONDS) -> int:
        """Return how many of these bytes can be read without a wait; at most ``seconds`` pass in silence.

        Of a slow pipe, what comes in PREFETCH_SECONDS. ``seconds`` None: wait until all have come.
        ``length`` for what can't be read at all, so that a read says why; after the end of a pipe whose size
        was not known, what there is. ``offset`` is that of the next read.
        """
        if offset != self.consumed:
            return length
        until = math.inf if seconds is None else time.monotonic() + PREFETCH_SECONDS
        while not self._has(offset + length) and self._pull(offset + length, seconds):
            if time.monotonic() > until:
                break
        if self.trouble is not None:
            return length
        unsure = not self._has(self.arrived)
        return max(0, min(length, self.arrived - offset - unsure))

    def _has(self, end: int) -> bool:
        """Return whether nothing has to be waited for before the bytes up to ``end`` can be read."""
        if self._ended:
            return True
        # The last bytes of a program's output count only when the program has succeeded.
        last = end >= self.size and self.why is not all_is_well
        return self.arrived >= min(end, self.size) and not last

    def _pull(self, end: int, seconds: float | None) -> bool:
        """Take what has come, up to byte ``end``; return False if nothing has within ``seconds``."""
        if not self._wait(seconds):
            return False
        want = min(end, self.size) - self.arrived
        if want <= 0:
            # All has come. Is this the end?
            more = _count_waiting(self._fd) > 0
            self._finish(f"it goes on after {self.size} bytes" if more else self.why())
            return True
        self._make_room(want)
        try:
            with memoryview(self._buffer) as held:
                count = os.readv(self._fd, [held[self._end : self._end + want]])
        except BlockingIOError:
            # A different reader of the pipe was quicker.
            return False
        except OSError as error:
            self._finish(f"it can't be read from byte {self.arrived} on: {reason(error)}")
            return True
        self._end += count
        if not count:
            self._finish(self.why() or self._shortage())
        return True

    def _shortage(self) -> str | None:
        if not self.arrived:
            return "it is empty"
        if self._given is None or self.arrived >= self._given:
            return None
        return f"it ended at byte {self.arrived} of {self._given}"

    def _finish(self, trouble: str | None) -> None:
        self.trouble, self._ended = trouble, True
        if trouble is None:
            self.size = self.arrived

    def _wait(self, seconds: float | None) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        self._waits = True
        ready = [] if self._closed else poll.poll(None if seconds is None else 1000 * seconds)
        self._waits = False
        if self._closed:
            raise LostError(errno.EIO, "the source was closed")
        return bool(ready)

    def _make_room(self, want: int) -> None:
        """Move what is in the buffer to its beginning, and make it large enough for ``want`` more bytes."""
        held = self._end - self._begin
        if self._end + want <= len(self._buffer):
            return
        old, before = self._buffer, self._begin
        if held + want > len(self._buffer):
            self._buffer = mmap.mmap(-1, -(-(held + want) // PAGE) * PAGE)
        self._buffer[:held] = old[before : before + held]
        self._begin, self._end = 0, held

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        """See ``Source.read_into``; wait until all bytes have come.

        Raise LostError: ESPIPE for what is not next, EIO, with the reason, after the end.
        """
        if offset != self.consumed:
            where = "has been read, and is gone" if offset < self.consumed else "can't be read yet"
            raise LostError(errno.ESPIPE, f"byte {offset} of the pipe {self.path} {where}")
        self.prefetch(offset, length, None)
        if self.arrived < offset + length:
            why = self.trouble or f"it ended at byte {self.arrived}"
            raise LostError(errno.EIO, f"the pipe {self.path}: {why}")
        if self.trouble is not None and offset + length >= self.size:
            raise LostError(errno.EIO, f"the pipe {self.path}: {self.trouble}")
        with memoryview(self._buffer) as held:
            for slot in slots:
                count = min(len(slot), length)
                slot[:count] = held[self._begin : self._begin + count]
                self._begin += count
                self.consumed += count
                length -= count

    def peek(self, most: int, *, waits: bool) -> bytes:
        """Return the first bytes, at most ``most``, which stay unread; if it ``waits``, at least one.

        Raise UnusableError if the pipe is empty, or broken.
        """
        count = self.prefetch(0, most)
        while waits and not count and not self._ended:
            self._wait(None)
            count = self.prefetch(0, most)
        if self._ended and not self.arrived:
            raise UnusableError(f"the source {self.path} is empty; nothing was written")
        return self._buffer[self._begin : min(self._end, self._begin + most)]

    def put_back(self, count: int) -> None:
        """Undo the end of the last read: these bytes are the next again. Nothing was prefetched since."""
        self._begin -= count
        self.consumed -= count

    @property
    def sector(self) -> int:
        """See ``Source.sector``; a pipe has no bad places."""
        return PAGE

    @property
    def overlaps(self) -> bool:
        """See ``Source.overlaps``: each byte is given once, in order."""
        return False

    def data(self) -> None:
        """Return None: where its zeros are is not known before they come."""

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when more has come, or the end."""
        return self._fd

    def limit_silence(self, seconds: float) -> None:
        """See ``Source.limit_silence``: there is no connection that could be made again."""

    def descriptors(self) -> tuple[int, ...]:
        """Return its descriptors."""
        return (self._fd, self._wake)

    def close(self) -> None:
        """Close the source in this process; a wait in another thread ends with LostError."""
        self._closed = True
        # A process that was forked has the same eventfd, and goes on reading.
        if self._waits:
            os.eventfd_write(self._wake, 1)
        os.close(self._fd)


def _count_waiting(fd: int) -> int:
    """Return how many bytes are in a pipe or socket now."""
    count = array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]


def _widen(fd: int) -> None:
    """Enlarge the kernel's buffer of the pipe; a socket, or a user's limit on pipes, stays as it is."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, CAPACITY)


def _take_stdin() -> int:
    """Return a descriptor of standard input, which is /dev/null from now on: its writer sees it closed."""
    try:
        # Opened again where that is possible: the flags of the first one are other processes', too.
        fd = os.open("/proc/self/fd/0", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        # A socket, or another user's pipe.
        fd = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
    redirect_to_null(0)
    return fd
