"""A command on a new terminal: its questions, typed replies, and the screen at the end."""

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
from collections.abc import Iterator

import attrs

from tests.rig.commands import TIMEOUT, Argument, Process, end, environment

ROWS, COLUMNS = 40, 200
TOKEN = re.compile(r"\x1b\[(\??\d*(?:;\d+)*)([A-Za-z])|(.)", re.DOTALL)


@attrs.define(eq=False)
class Terminal:
    """A pseudo-terminal with a command in its foreground."""

    process: Process
    _master: int
    _seen: bytearray = attrs.field(factory=bytearray, init=False)

    @property
    def text(self) -> str:
        """All its output, with control sequences."""
        return self._seen.decode(errors="replace")

    def type(self, text: str) -> None:
        """Type a text; the terminal turns control characters into signals."""
        os.write(self._master, text.encode())

    def wait_for(self, text: str) -> None:
        """Read until a text appears."""
        until = time.monotonic() + TIMEOUT
        while text not in self.text:
            assert self._read(until - time.monotonic()), f"no {text!r} in {self.text!r}"

    def command_pid(self) -> int:
        """Return the process of the command itself, which leads the terminal's foreground."""
        return os.tcgetpgrp(self._master)

    def hang_up(self) -> None:
        """Close the terminal, as a connection does that breaks."""
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, self._master, inheritable=False)
        os.close(null)

    def read_to_end(self, *, code: int) -> None:
        """Read to the end of the command, which has this exit code."""
        until = time.monotonic() + TIMEOUT
        while self._read(until - time.monotonic()):
            pass
        assert code == self.process.wait(TIMEOUT), self.text

    def finish(self, *, code: int) -> list[str]:
        """Read to the end; return the lines on the screen then."""
        self.read_to_end(code=code)
        return screen(self.text)

    def _read(self, seconds: float) -> bool:
        """Read some output; return False when no process has the terminal open, or the time is over."""
        if not select.select([self._master], [], [], max(0, seconds))[0]:
            return False
        try:
            piece = os.read(self._master, 65536)
        except OSError:  # EIO: no process has it open
            return False
        self._seen += piece
        return bool(piece)


@contextlib.contextmanager
def terminal(*command: Argument, stdout: int | None = None) -> Iterator[Terminal]:
    """Run a command on a new terminal; ``stdout`` may be a different file."""
    master, slave = pty.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *map(str, command)],
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
    """Return the lines that a terminal shows after a text; raise AssertionError for an unknown sequence."""
    rows, row, column = [""], 0, 0
    for number, word, sign in TOKEN.findall(text):
        match word, sign:
            case "A", _:
                row -= int(number or 1)
            case "K", _ if number == "2":
                rows[row] = ""
            case (("m" | "h" | "l"), _):
                pass
            case "", "\r":
                column = 0
            case "", "\n":
                row += 1
                rows += [""] * (row + 1 - len(rows))
            case _:
                assert not word, f"unknown sequence {number}{word}"
                assert sign != "\x1b", "an unknown sequence"
                rows[row] = rows[row][:column].ljust(column) + sign + rows[row][column + 1 :]
                column += 1
    return "\n".join(line.rstrip() for line in rows).rstrip("\n").splitlines()
