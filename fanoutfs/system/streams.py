"""The standard streams: there whatever the parent left of them, and never the reason that a command fails.

A closed descriptor 0, 1 or 2 would go to the next file or socket that is opened, and the next message, or the
next redirection to /dev/null, would hit that. And what a command has done stays done when its report can't be
written, because a disk is full or the reader of a pipe has gone. So a write that fails is remembered, not
raised; a command that only reports calls ``require_written`` at its end.
"""

import errno
import io
import locale
import os
import sys
from typing import TextIO, cast

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.system.ready import writable

STANDARD = (0, 1, 2)


@attrs.define(eq=False, weakref_slot=False)
class Output(io.RawIOBase):
    """A standard output that drops what it can't write, and remembers why."""

    descriptor: int
    lost: OSError | None = attrs.field(default=None, init=False)
    """The first error; everything after it is dropped."""

    def write(self, data: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override]  # mypy has no Buffer in Python 3.11
        """Write all of ``data``; if the descriptor does not block, wait until it takes more."""
        left = memoryview(data).cast("B")
        size = len(left)
        while left and self.lost is None:
            try:
                left = left[os.write(self.descriptor, left) :]
            except BlockingIOError:
                writable(self.descriptor)
            except OSError as error:
                self.lost = error
        return size

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.descriptor

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self.descriptor)


_stdout: Output | None = None
"""This process's standard output, once ``settle_streams`` was called."""


def settle_streams() -> None:
    """Open /dev/null on each closed standard descriptor, and make Python's streams of them.

    Call it before anything is opened. Raise UnusableError if /dev/null can't be opened.
    """
    global _stdout  # noqa: PLW0603 (as sys.stdout is)
    if not all(map(_is_open, STANDARD)):
        null = _null()
        # The lowest that is free: opened again and again, it fills the gaps.
        while null in STANDARD:
            os.set_inheritable(null, True)  # noqa: FBT003 (it takes no keyword)
            null = _null()
        os.close(null)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 (for the life of the process)
    _stdout = Output(1)
    sys.stdout = _text(_stdout, sys.stdout, line_buffering=os.isatty(1))
    sys.stderr = _text(Output(2), sys.stderr, line_buffering=True)


def redirect_to_null(*descriptors: int) -> None:
    """Redirect standard descriptors to /dev/null."""
    null = _null()
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    if null not in descriptors:
        os.close(null)


def output_failure() -> str | None:
    """Return why standard output could not be written; None if it was, or if its reader has gone."""
    if _stdout is None:
        return None
    sys.stdout.flush()
    if _stdout.lost is None or _stdout.lost.errno == errno.EPIPE:
        return None
    return f"standard output can't be written: {reason(_stdout.lost)}"


def require_written() -> None:
    """Raise UnusableError if standard output could not be written, by a command that only reports."""
    if (failure := output_failure()) is not None:
        raise UnusableError(failure)


def is_heard() -> bool:
    """Return whether what is written to standard output still gets anywhere."""
    return _stdout is None or _stdout.lost is None


def _null() -> int:
    try:
        return os.open(os.devnull, os.O_RDWR)
    except OSError as error:
        raise UnusableError(
            f"{os.devnull} can't be opened: {reason(error)}; is /dev mounted here?"
        ) from error


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
        return False
    return True


def _text(output: Output, before: TextIO | None, *, line_buffering: bool) -> TextIO:
    """Return a text stream in the encoding of the one before; what that lacks is written as an escape."""
    encoding = locale.getencoding() if before is None else before.encoding
    return io.TextIOWrapper(
        io.BufferedWriter(cast("io.RawIOBase", output)),
        encoding,
        errors="backslashreplace",
        line_buffering=line_buffering,
    )
