"""The parts of a sparse file that hold data, as its file system knows them (lseek(2), SEEK_DATA)."""

import errno
import os
import time
from collections.abc import Iterator, Sequence

from fanoutfs.ranges import Range

LOOK_SECONDS = 5.0
"""How long the search may take. What it has not come to counts as data."""

LOOK_RANGES = 65536
"""How many ranges are looked for, at some microseconds each: more are no use (``layout.MOST_RUNS``)."""


def data_ranges(fd: int, size: int) -> Sequence[Range] | None:
    """Return the ranges of a file of ``size`` bytes that may hold data; None: all of it, as far as known."""
    found = list(_search(fd, size))
    return None if found == [(0, size)] else found


def _search(fd: int, size: int) -> Iterator[Range]:
    until = time.monotonic() + LOOK_SECONDS
    end = 0
    for _ in range(LOOK_RANGES):
        try:
            begin = os.lseek(fd, end, os.SEEK_DATA)
            if begin >= size:
                return
            end = min(os.lseek(fd, begin, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno == errno.ENXIO:
                # There is no data from there on.
                return
            break
        yield begin, end - begin
        if end >= size:
            return
        if time.monotonic() > until:
            break
    if end < size:
        yield end, size - end
