"""How producer and consumer count blocks to one another: a pipe in each direction, one byte for each block.

The flags of an open file, such as O_NONBLOCK, belong to all processes that hold it. So a consumer that
shared an eventfd with the producer could make the producer's event loop block on it, for all readers. The two
ends of a pipe are two open files: whatever a consumer does to its own, a call at the producer's returns at
once.

A byte of *filled* is the *mark* of the epoch in which its block was granted. So the consumer can tell what is
left of an earlier epoch from the grants of the current one. WAKE counts for nothing.
"""

import os

WAKE = b"\0"
"""Wakes the consumer without a block."""

_MARKS = 255


def open_tally() -> tuple[int, int]:
    """Return a pipe's end to read and its end to write. Raise OSError."""
    return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)


def mark_of(epoch: int) -> bytes:
    """Return the byte that counts a block granted in this epoch."""
    return bytes((1 + epoch % _MARKS,))


def post(end: int, marks: bytes) -> bool:
    """Write these marks; return False if they do not fit, for the other end has taken too few.

    An other end that was closed counts nothing any more: True.
    """
    try:
        return os.write(end, marks) == len(marks)
    except BlockingIOError:
        return False
    except BrokenPipeError:
        return True


def take(end: int, most: int) -> bytes | None:
    """Return the marks that have arrived, at most ``most``; None if the other end was closed."""
    try:
        return os.read(end, most) or None
    except BlockingIOError:
        return b""
