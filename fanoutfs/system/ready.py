"""Waiting for descriptors of any number; select(2) takes none above 1023."""

import select
from collections.abc import Iterable


def readable(descriptors: Iterable[int], seconds: float | None = None) -> list[int]:
    """Wait until one of these can be read, or its other end is closed; return those, or none in time."""
    return _ready(descriptors, select.POLLIN, seconds)


def writable(descriptor: int) -> bool:
    """Wait until this can be written."""
    return bool(_ready([descriptor], select.POLLOUT, None))


def _ready(descriptors: Iterable[int], event: int, seconds: float | None) -> list[int]:
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, event)
    # Rounded up: less than a millisecond is a wait, too.
    return [ready for ready, _ in poll.poll(None if seconds is None else -int(-seconds * 1000 // 1))]
