"""A question on the terminal, which Ctrl-C ends whenever it comes."""

import os
import select
import signal
import sys


def ask(question: str) -> str:
    """Ask on the terminal, also when stdout is a file, where ``input`` would write the question.

    Raise KeyboardInterrupt after Ctrl-C, EOFError at the end of input.
    """
    print(question, end="", file=sys.stderr, flush=True)
    _wait_for_a_line()
    return input()


def _wait_for_a_line() -> None:
    """Wait until a line is there, or a signal has come.

    ``input`` alone misses a signal that comes between the question and its read: Python then only notes it,
    and the read begins all the same. But it is written to the wakeup descriptor as well (module signal).
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
