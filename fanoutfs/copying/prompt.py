"""A question on the terminal that Ctrl-C ends at any time."""

import os
import select
import signal
import sys


def ask(question: str) -> str:
    """Ask on the terminal, even if stdout is a file, to which ``input`` would write the question.

    Raise KeyboardInterrupt after Ctrl-C, EOFError at the end of input.
    """
    print(question, end="", file=sys.stderr, flush=True)
    _wait_for_a_line()
    return input()


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
