"""A question on the terminal that Ctrl-C ends at any time."""

import fcntl
import os
import select
import signal
import sys

from fanoutfs.status.text import printable


def can_ask() -> bool:
    """Return whether the user can be asked: stdin is a terminal, and this job is in its foreground.

    A background job that reads from its terminal is stopped (SIGTTIN).
    """
    if sys.stdin is None or not sys.stdin.isatty() or _screen() is None:
        return False
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        # It is not this session's controlling terminal, so there is no job control.
        return True


def show(line: str) -> None:
    """Print a line on the terminal, also where stdout and stderr are files."""
    _write(f"{printable(line)}\n")


def ask(question: str) -> str:
    """Ask on the terminal, also where stdout and stderr are files, and return the answer.

    Raise KeyboardInterrupt after Ctrl-C, EOFError at the end of input.
    """
    _write(question)
    _wait_for_a_line()
    return input()


def _write(text: str) -> None:
    screen = _screen()
    assert screen is not None
    os.write(screen, text.encode(errors="backslashreplace"))


def _screen() -> int | None:
    """Return a descriptor that writes to the terminal: stdin mostly does; None: nothing does."""
    if fcntl.fcntl(sys.stdin, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR:
        return sys.stdin.fileno()
    return sys.stderr.fileno() if sys.stderr is not None and sys.stderr.isatty() else None


def _wait_for_a_line() -> None:
    """Wait until a line can be read, or a signal arrives.

    ``input`` alone misses a signal that arrives between the question and its read: Python only records the
    signal, and starts the read all the same. But it also writes it to the wakeup descriptor (module signal).
    """
    woken, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    before = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    try:
        poll = select.poll()
        for descriptor in (sys.stdin.fileno(), woken):
            poll.register(descriptor, select.POLLIN)
        poll.poll()
    finally:
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(waker)
