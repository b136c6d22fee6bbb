"""Arguments that name a pipe: "-" for standard input, a FIFO, /dev/fd/N; and what standard input is."""

import os
import stat
from pathlib import Path

from fanoutfs.errors import UnusableError, UsageError, reason
from fanoutfs.source.formats import HEAD, recognise
from fanoutfs.source.pipe_source import STDIN, PipeSource
from fanoutfs.system.identity import file_identity
from fanoutfs.system.paths import find
from fanoutfs.units import format_size


def _can_be_read_once(status: os.stat_result) -> bool:
    return stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)


def pipe_identity(name: str) -> str | None:
    """Return the identity of the pipe or FIFO at a path, or None if there is something else, or nothing.

    Raise NoAnswerError for a path on a file system that does not answer.
    """
    try:
        path, mount = find(name)
        status = None if mount is not None else Path(path).stat()
    except OSError:
        # The attempt to open it shows why.
        return None
    return file_identity(status) if status is not None and stat.S_ISFIFO(status.st_mode) else None


def stdin_pipe_identity() -> str:
    """Return the identity of standard input, which has to be a pipe. Raise UsageError or UnusableError."""
    if os.isatty(0):
        raise UsageError("standard input is a terminal; send the source by a pipe, or name a file")
    status = os.fstat(0)
    if not _can_be_read_once(status):
        raise UnusableError("standard input is closed, or neither a pipe, a file nor a disk; name the source")
    return file_identity(status)


def stdin_path() -> str | None:
    """Return a path of the file or disk that standard input is; None: it is neither."""
    mode = os.fstat(0).st_mode
    return "/proc/self/fd/0" if stat.S_ISREG(mode) or stat.S_ISBLK(mode) else None


def skipped_position(path: str) -> str | None:
    """Return a warning if standard input was read already, up to a place other than its beginning."""
    try:
        at = os.lseek(0, 0, os.SEEK_CUR)
    except OSError as error:
        raise UnusableError(f"standard input can't be read: {reason(error)}") from error
    if not at:
        return None
    return f"standard input is {path}: it is read from its beginning, not from byte {at} ({format_size(at)})"


def require_plain(pipe: PipeSource, name: str, *, raw: bool, waits: bool) -> None:
    """Look at the first bytes of a pipe. Raise UnusableError for an image in a format, unless ``raw``.

    ``waits``: they are waited for, and a pipe without any is refused; else they are what has come by now.
    """
    kind = recognise(pipe.peek(HEAD, waits=waits), b"")
    if kind is None or raw:
        return
    shown = "standard input" if name == STDIN else f"the source {name}"
    raise UnusableError(
        f"{shown} is {kind.what}, and a pipe is read as it lies; unpack it before, by a program in the pipe, "
        f"or name the file; to copy it as it lies: raw:{name}"
    )
