"""Readers that pause in the middle, and readers that start in the same instant."""

import contextlib
import errno
import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs

from tests.rig.commands import Argument, Done, Process, finish
from tests.rig.images import MIB, check_pattern

AGAIN = 0.5
"""The most of an image that is read twice on a busy machine: the kernel requests cached pages again, and a
small ring no longer holds them (0.17 was measured). contrib/bench/one_pass.py has the exact bar."""

# Copies `first` bytes, prints a line, waits for one, then copies the rest.
HELD = """
import os, sys
source, target, first, direct = sys.argv[1:]
flags = os.O_DIRECT if direct == "direct" else 0
image, left = os.open(source, os.O_RDONLY | flags), int(first)
copy = os.open(target, os.O_WRONLY | os.O_CREAT, 0o600)
while left:
    piece = os.read(image, min(left, 1 << 20))
    if not piece:
        sys.exit(3)
    os.write(copy, piece)
    left -= len(piece)
print("held", flush=True)
sys.stdin.readline()
while piece := os.read(image, 1 << 20):
    os.write(copy, piece)
"""

GATE = 'echo here; read -r go; exec "$@"'
HANGS = 30.0  # seconds after which a killed process counts as one that hangs

Spawn = Callable[..., Process]


@attrs.frozen
class Held:
    """A reader that has read its first bytes and waits for a line before it reads on."""

    process: Process
    copy: Path

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self.process.pid

    def say_go(self) -> None:
        """Let the reader read on."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def finish(self, code: int | None = 0) -> Done:
        """Let the reader read on, if it still waits, and wait for its end."""
        return finish(self.process, code=code)


def hold(spawn: Spawn, image: Path, copy: Path, first: int, *, direct: bool = False) -> Held:
    """Start a reader; return when it has read `first` bytes."""
    way = "direct" if direct else "cached"
    process = spawn(sys.executable, "-SEc", HELD, image, copy, first, way, stdin=-1)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return Held(process, copy)


@contextlib.contextmanager
def directly(image: Path) -> Iterator[Callable[[int], bytes]]:
    """Yield a function that reads one MiB with O_DIRECT: unlike the page cache, it requests no page twice."""
    handle = os.open(image, os.O_RDONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, MIB) as buffer:
            yield lambda offset: buffer[: os.preadv(handle, [buffer], offset)]
    finally:
        os.close(handle)


def at_once(spawn: Spawn, commands: Sequence[Sequence[Argument]]) -> list[Process]:
    """Start commands in the same instant: all wait until one pipe closes."""
    gate, opener = os.pipe()
    try:
        processes = [spawn("sh", "-c", GATE, "sh", *command, stdin=gate) for command in commands]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"here\n"
    finally:
        os.close(gate)
        os.close(opener)
    return processes


def dd(image: Path, copy: Path, form: str = "bs=1M") -> list[str]:
    """Return a dd command as people type it."""
    return ["dd", f"if={image}", f"of={copy}", "status=none", *form.split()]


def read_in_pieces(image: Path, size: int, way: int, step: int = MIB) -> dict[int, str]:
    """Read a pattern image piece by piece and check it; return the offsets of failed reads and their errors.

    As with any file, a read that fails in its middle may return the bytes before; then the next one fails.
    """
    failures = {}
    handle = os.open(image, os.O_RDONLY | way)
    try:
        for start in range(0, size, step):
            offset, end = start, min(start + step, size)
            while offset < end:
                try:
                    data = os.pread(handle, end - offset, offset)
                except OSError as error:
                    failures[offset] = errno.errorcode[error.errno or 0]
                    break
                assert data
                check_pattern(data, offset)
                offset += len(data)
    finally:
        os.close(handle)
    return failures


def goes_soon(process: Process) -> bool:
    """Return whether a process ends after a signal, although the reader that it waits for does not read."""
    try:
        process.wait(HANGS)
    except subprocess.TimeoutExpired:
        return False
    return True
