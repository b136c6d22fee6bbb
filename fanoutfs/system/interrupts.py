"""Signals that end a command: how they arrive, whatever the parent has ignored or blocked.

Ignored and blocked signals are inherited. A shell ignores SIGINT for what a script runs in the background,
and nohup ignores SIGHUP: that is meant, and stays. The rest is an accident: with SIGCHLD ignored the kernel
does not report how a child has ended, and PID 1 of a container has no default action for SIGTERM.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""The signals that end a command in order."""

_HEARD = {
    *ENDS,
    signal.SIGUSR1,
    signal.SIGQUIT,
    signal.SIGCHLD,
    signal.SIGTSTP,
    signal.SIGCONT,
    signal.SIGWINCH,
}


class Interrupted(KeyboardInterrupt):
    """A signal other than Ctrl-C ends the command."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    def __str__(self) -> str:
        return f"ended by {signal.Signals(self.number).name}"


def settle_signals() -> None:
    """Make the signals that end a command raise KeyboardInterrupt; restore the default action of SIGCHLD."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # It asks a copy for its progress; sent to all processes called fanoutfs, it ends none of them.
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, interrupt)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)


@contextlib.contextmanager
def unblocked() -> Iterator[None]:
    """Unblock the signals that end a command; the mask at the end is the one before.

    One that was blocked until now raises KeyboardInterrupt at once, with the mask restored.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def default_signals() -> None:
    """Restore the default action: these signals kill this process, which has nothing to clean up."""
    for number in ENDS:
        signal.signal(number, signal.SIG_DFL)


def interrupt(number: int, _frame: FrameType | None) -> None:
    """Raise Interrupted: the handler of a signal."""
    raise Interrupted(number)


def exit_code(interrupted: KeyboardInterrupt) -> int:
    """Return the exit code of a command that a signal has ended, as in shells."""
    return 128 + (interrupted.number if isinstance(interrupted, Interrupted) else signal.SIGINT)
