"""All errors of fanoutfs in one table: what happened, errno for readers, exit code for callers.

Each class differs from the others in the person that can do something about it: ``UsageError`` the user of
the command, ``UnusableError`` the owner of the source or the mount point, ``SourceBrokeError`` the owner of
the disk, ``TargetError`` the owner of the target, ``ClosingError`` and ``ReaderGoneError`` nobody.
"""

import errno
from typing import ClassVar


class FanoutError(Exception):
    """Base of all errors; the text is one line: what, where, what to do.

    A reader of the mount gets ``errno``, the command exits with ``exit_code``.
    """

    errno: ClassVar[int] = errno.EIO
    exit_code: ClassVar[int] = 1

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the text as the lines that are printed: a name in it may contain a line break."""
        return (str(self),)


def reason(error: OSError) -> str:
    """Return the system's text for an error, to be part of a message."""
    return (error.strerror or str(error)).lower()


class UsageError(FanoutError):
    """The arguments of the command are wrong; nothing was touched."""

    errno = errno.EINVAL
    exit_code = 2


class UnusableError(FanoutError):
    """The source, the mount point or the machine can't be used as asked; nothing is mounted."""


class NotRunningError(UnusableError):
    """No mount or producer is where one was named; if it was there before, it has ended."""


class NoAnswerError(UnusableError):
    """Another computer can't be reached, or does not answer; it may answer later."""


class NotAServiceError(UnusableError):
    """The server at an address is no fanoutfs service; it may have a file there."""


class SourceBrokeError(FanoutError):
    """The source could not be read at this offset; the rest of it may be readable."""

    errno = errno.EIO


class GoneError(FanoutError):
    """The source gives its bytes once, in order, and has given these before; others may still come."""

    errno = errno.ESPIPE


class SourceChangedError(FanoutError):
    """The source is not the one with which the copy began."""


class SourceHungError(FanoutError):
    """The source has not answered within the time limit; it may recover."""

    errno = errno.EIO


class TargetError(FanoutError):
    """The target could not be written or read back, so it is not a copy; other targets are not affected."""


class ClosingError(FanoutError):
    """The mount is being taken down; the read will not be answered with data."""

    errno = errno.EIO


class ReaderGoneError(FanoutError):
    """A fatal signal is pending for the reader: its read returns so that the process can end."""

    errno = errno.EINTR


class TooManyReadersError(FanoutError):
    """The mount already serves its maximum of open files."""

    errno = errno.EMFILE
