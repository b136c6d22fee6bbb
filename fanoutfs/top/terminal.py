"""The terminal that a picture is drawn on: what is typed there, and what the system says of it.

A key, a new size, Ctrl-Z and the like all end a wait at once, so that a long interval between two pictures
does not make the command deaf.
"""

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Enum, auto
from types import FrameType
from typing import Protocol

import attrs


class Event(Enum):
    """What ends a wait."""

    TIME = auto()
    RESIZED = auto()
    SUSPEND = auto()
    QUIT = auto()


class Keyboard(Protocol):
    """What a picture waits on."""

    def wait(self, seconds: float) -> Event:
        """Wait until something happens, or the time is over. Ctrl-C raises KeyboardInterrupt."""


SIGNALS = {signal.SIGTSTP: Event.SUSPEND, signal.SIGWINCH: Event.RESIZED}

ENDS = (signal.SIGTERM, signal.SIGHUP)
"""They end the command as Ctrl-C does, so that the terminal is left as it was."""


@attrs.define(eq=False)
class Terminal:
    """Our terminal while a picture has it; made by ``terminal``."""

    _woken: int
    """Has a byte, the number of the signal, for each one that came."""
    _typed: int | None
    """Where keys come from; None: nobody types."""

    def wait(self, seconds: float) -> Event:
        """Wait as ``Keyboard`` says."""
        ready = [fd for fd in (self._woken, self._typed) if fd is not None]
        ready = select.select(ready, [], [], seconds)[0]
        if self._woken in ready:
            came = os.read(self._woken, 512)
            return next((event for number, event in SIGNALS.items() if number in came), Event.TIME)
        if ready and self._typed is not None:
            typed = os.read(self._typed, 512)
            if not typed:
                self._typed = None
            elif b"q" in typed.lower():
                return Event.QUIT
        return Event.TIME


@contextmanager
def terminal() -> Iterator[Terminal]:
    """Take the terminal: keys come without Enter and are not shown. What was set is set back at the end."""
    with ExitStack() as stack:
        typed = sys.stdin.fileno() if sys.stdin.isatty() else None
        if typed is not None:
            before = termios.tcgetattr(typed)
            stack.callback(termios.tcsetattr, typed, termios.TCSADRAIN, before)
            tty.setcbreak(typed)
        read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        stack.callback(os.close, read)
        stack.callback(os.close, write)
        stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(write, warn_on_full_buffer=False))
        for number in SIGNALS:
            stack.callback(signal.signal, number, signal.signal(number, _wake))
        for number in ENDS:
            stack.callback(signal.signal, number, signal.signal(number, signal.default_int_handler))
        yield Terminal(read, typed)


def suspend() -> None:
    """Stop, as the one who typed Ctrl-Z expects; returns when we are continued."""
    signal.raise_signal(signal.SIGTSTP)


def _wake(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the wake-up descriptor has got the number."""
