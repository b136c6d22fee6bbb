"""Every way in which fanoutfs says no, in one table: what happened, errno for readers, exit code for callers.

An error is told from its neighbours by who must act: ``Usage`` the one who typed, ``Unusable`` the one who
owns the source or the mount point, ``SourceBroke`` the one who owns the disk, ``Target`` the one who owns
the target, ``Closing`` nobody (we end), ``ReaderGone`` nobody (the reader was told to die).
"""

import errno
from typing import ClassVar


class FanoutError(Exception):
    """Base of all; its text is one line ``what, where, what to do``.

    ``errno`` is what a reader of the mount gets, ``exit_code`` what the command ends with.
    """

    errno: ClassVar[int] = errno.EIO
    exit_code: ClassVar[int] = 1


def reason(error: OSError) -> str:
    """Give what the system said, as a part of one of our lines."""
    return (error.strerror or str(error)).lower()


class UsageError(FanoutError):
    """The words of the command are off; nothing was touched."""

    errno = errno.EINVAL
    exit_code = 2


class UnusableError(FanoutError):
    """The source, the mount point or the machine can't be used as asked; nothing is mounted."""


class NoAnswerError(UnusableError):
    """Another computer can't be reached, or does not answer: who has been answered before may ask again."""


class SourceBrokeError(FanoutError):
    """The source could not be read at this place; other places may well be right."""

    errno = errno.EIO


class SourceChangedError(FanoutError):
    """The source is not the one that the copy began with."""


class SourceHungError(FanoutError):
    """The source has not answered within its time limit; it may come back."""

    errno = errno.EIO


class TargetError(FanoutError):
    """The target could not be written or read back at this place; it is no copy, others may well be."""


class ClosingError(FanoutError):
    """The mount is being taken down; the reader's bytes will not come."""

    errno = errno.EIO


class ReaderGoneError(FanoutError):
    """The reader has a signal waiting that ends it: its read is given back so that it can die."""

    errno = errno.EINTR


class TooManyReadersError(FanoutError):
    """More handles are open than the mount serves."""

    errno = errno.EMFILE
