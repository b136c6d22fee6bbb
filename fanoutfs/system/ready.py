"""Waiting for descriptors of any number, and looking at them; select(2) takes none above 1023."""

import select
from collections.abc import Iterable


def readable(descriptors: Iterable[int], seconds: float | None = None) -> list[int]:
    """Wait until one of these can be read, or its other end is closed; return those, or none in time."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    # Rounded up: less than a millisecond is a wait, too.
    return [ready for ready, _ in poll.poll(None if seconds is None else -int(-seconds * 1000 // 1))]


def is_writable(descriptor: int) -> bool:
    """Return whether a line can be written without waiting: for the reader of a pipe, say."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
