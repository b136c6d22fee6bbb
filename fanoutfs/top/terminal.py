"""Input of the terminal that a picture is drawn on: keys and signals.

A key, a change of the size and Ctrl-Z end a wait immediately, so that the command responds during a long
interval between two pictures.
"""

import errno
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum, auto
from types import FrameType
from typing import Any

import attrs

from fanoutfs.system.interrupts import interrupt
from fanoutfs.system.ready import readable


class Event(Enum):
    """What ends a wait."""

    TIME = auto()
    RESIZED = auto()
    SUSPEND = auto()
    QUIT = auto()


Wait = Callable[[float], Event]
"""Waits for an event, a number of seconds at most. Ctrl-C raises KeyboardInterrupt."""

SIGNALS = {signal.SIGTSTP: Event.SUSPEND, signal.SIGWINCH: Event.RESIZED}

ENDS = (signal.SIGTERM, signal.SIGHUP)
"""They end the command as Ctrl-C does, so that the state of the terminal is restored."""


@attrs.define(eq=False)
class Terminal:
    """The terminal while a picture is drawn on it; created by ``terminal``."""

    _woken: int
    """Descriptor with a byte, the number, for each signal received."""
    _typed: int | None
    """Descriptor of the keyboard, or None without one."""

    def wait(self, seconds: float) -> Event:
        """Wait for a key or a signal; see ``Wait``."""
        ready = [fd for fd in (self._woken, self._typed) if fd is not None]
        ready = readable(ready, seconds)
        if self._woken in ready:
            came = os.read(self._woken, 512)
            return next((event for number, event in SIGNALS.items() if number in came), Event.TIME)
        if ready and self._typed is not None:
            typed = _read(self._typed)
            if not typed:
                self._typed = None
            elif b"q" in typed.lower():
                return Event.QUIT
        return Event.TIME


def _read(typed: int) -> bytes:
    try:
        return os.read(typed, 512)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        # The terminal has been hung up.
        return b""


def _restore(typed: int, before: list[Any]) -> None:
    try:
        termios.tcsetattr(typed, termios.TCSADRAIN, before)
    except termios.error as error:
        if error.args[0] != errno.EIO:
            raise


@contextmanager
def terminal() -> Iterator[Wait]:
    """Read keys without Enter and without echo; restore all settings at the end."""
    with ExitStack() as stack:
        typed = sys.stdin.fileno() if sys.stdin.isatty() else None
        if typed is not None:
            before = termios.tcgetattr(typed)
            stack.callback(_restore, typed, before)
            tty.setcbreak(typed)
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        stack.callback(os.close, read)
        stack.callback(os.close, write)
        stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(write, warn_on_full_buffer=False))
        for number in SIGNALS:
            stack.callback(signal.signal, number, signal.signal(number, _wake))
        for number in ENDS:
            stack.callback(signal.signal, number, signal.signal(number, interrupt))
        yield Terminal(read, typed).wait


def suspend() -> None:
    """Stop the process as Ctrl-Z does; return when it is continued."""
    signal.raise_signal(signal.SIGTSTP)


def _wake(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: Python has written the number to the wake-up descriptor."""
