"""What a forked process should not have inherited."""

import os


def close_all_but(*kept: int) -> None:
    """Close what the parent had open beyond stderr.

    A target that stays open here is in use for everybody else, and of a pipe or a socket nobody sees the end.
    """
    begin = 3
    for fd in sorted(kept):
        if begin < fd:
            # Never an empty range: closerange(0, 0) of Python 3.11 closes all.
            os.closerange(begin, fd)
        begin = fd + 1
    os.closerange(begin, os.sysconf("SC_OPEN_MAX"))
