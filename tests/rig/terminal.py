"""A command on a terminal of its own: what it asks, what is typed, and what stands there in the end."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence

import attrs
import pytest

from tests.rig.commands import TIMEOUT, Argument, Process, end, environment

ROWS, COLUMNS = 40, 200
CONTROL = re.compile(r"\x1b\[(\??\d*(?:;\d+)*)([A-Za-z])")


@attrs.define(eq=False)
class Terminal:
    """A pseudo-terminal with a command in its foreground."""

    process: Process
    _master: int
    _seen: bytearray = attrs.field(factory=bytearray, init=False)

    @property
    def text(self) -> str:
        """All that was written there, with its control sequences."""
        return self._seen.decode(errors="replace")

    def type(self, text: str) -> None:
        """Type; control characters are signals, as a terminal has them."""
        os.write(self._master, text.encode())

    def wait_for(self, words: str) -> None:
        """Read until these words have come."""
        until = time.monotonic() + TIMEOUT
        while words not in self.text:
            if not self._read(until - time.monotonic()):
                pytest.fail(f"{words!r} has not come, but: {self.text!r}")

    def command_pid(self) -> int:
        """Return the process of the command itself, which leads the terminal's foreground."""
        return os.tcgetpgrp(self._master)

    def finish(self, *, code: int) -> list[str]:
        """Read to the end; give the lines that stand on the screen then."""
        until = time.monotonic() + TIMEOUT
        while self._read(until - time.monotonic()):
            pass
        if code != self.process.wait(TIMEOUT):
            pytest.fail(f"exit {self.process.returncode}, not {code}: {self.text}")
        return screen(self.text)

    def _read(self, seconds: float) -> bool:
        """Read some; False when the last that had it open has closed it, or the time is over."""
        if not select.select([self._master], [], [], max(0, seconds))[0]:
            return False
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has it open
            return False
        self._seen += piece
        return bool(piece)


@contextlib.contextmanager
def terminal(*command: Argument, stdout: int | None = None) -> Iterator[Terminal]:
    """Run a command on a new terminal; `stdout` may go elsewhere."""
    master, slave = pty.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        words = ["setsid", "--ctty", "--wait", *map(str, command)]
        process = subprocess.Popen(
            words,
            stdin=slave,
            stdout=slave if stdout is None else stdout,
            stderr=slave,
            env=environment({"TERM": "xterm"}),
        )
    finally:
        os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        os.close(master)
        end(process)


def screen(text: str) -> list[str]:
    """Return what a terminal shows of this in the end; fails at a sequence that it does not know."""
    rows, row, column = [""], 0, 0
    at = 0
    while at < len(text):
        if found := CONTROL.match(text, at):
            at = found.end()
            number, word = found[1], found[2]
            match word:
                case "A":
                    row -= int(number or 1)
                case "K" if number == "2":
                    rows[row] = ""
                case "m" | "h" | "l":
                    pass
                case _:
                    pytest.fail(f"the terminal does not know {found[0]!r}")
            continue
        sign = text[at]
        at += 1
        if sign == "\r":
            column = 0
        elif sign == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        else:
            line = rows[row].ljust(column)
            rows[row] = line[:column] + sign + line[column + 1 :]
            column += 1
    return _without_empty_end([line.rstrip() for line in rows])


def _without_empty_end(rows: Sequence[str]) -> list[str]:
    kept = list(rows)
    while kept and not kept[-1]:
        kept.pop()
    return kept
