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
import stat
import sys
from typing import TextIO

from fanoutfs.errors import UnusableError, reason

STANDARD = (0, 1, 2)


class Output(io.TextIOWrapper):
    """A standard output that remembers its first error; what comes after it goes to /dev/null.

    All that it writes is written in C: a signal's handler that raises would otherwise come between a write
    and the record of how much was written, which is then written again.
    """

    lost: OSError | None = None
    """The first error."""

    def write(self, text: str, /) -> int:
        """Write a text, as far as it is taken."""
        try:
            return super().write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        """Write what is buffered, as far as it is taken."""
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.lost = self.lost or error
        redirect_to_null(self.fileno())
        super().flush()


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
    sys.stdout = _stdout = _output(1, sys.stdout, line_buffering=os.isatty(1))
    sys.stderr = _output(2, sys.stderr, line_buffering=True)


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


def _output(descriptor: int, before: TextIO | None, *, line_buffering: bool) -> Output:
    """Return a text stream in the encoding of the one before; what that lacks is written as an escape."""
    _let_it_block(descriptor)
    return Output(
        open(descriptor, "wb", closefd=False),
        locale.getencoding() if before is None else before.encoding,
        errors="backslashreplace",
        line_buffering=line_buffering,
    )


def _let_it_block(descriptor: int) -> None:
    """Open a pipe or terminal again that does not block: writes to it would fail while its reader is busy.

    The flag can't be cleared: it is the parent's, too.
    """
    status = os.fstat(descriptor)
    if os.get_blocking(descriptor) or not (stat.S_ISFIFO(status.st_mode) or os.isatty(descriptor)):
        return
    try:
        again = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NOCTTY)
    except OSError:
        # Another user's: it stays as it is.
        return
    os.dup2(again, descriptor)
    os.close(again)
