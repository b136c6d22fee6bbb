"""Pipes with a writer in this process, for tests."""

import contextlib
import mmap
import os
from threading import Thread

from fanoutfs.source.contract import Source
from fanoutfs.source.pipe_source import PipeSource
from fanoutfs.units import ANY_SIZE, PAGE


def open_pipe(size: int = ANY_SIZE) -> tuple[PipeSource, int]:
    """Return a pipe as a source, and the descriptor at which it is written."""
    reads, writes = os.pipe2(os.O_CLOEXEC)
    return PipeSource("-", f"pipe-{reads}", reads, size), writes


def written(content: bytes, size: int = ANY_SIZE) -> PipeSource:
    """Return a pipe that gives ``content``, from a thread of its own, and then ends."""
    source, end = open_pipe(size)

    def write() -> None:
        # A test may close the source before it has read all.
        with contextlib.suppress(BrokenPipeError):
            left = memoryview(content)
            while left:
                left = left[os.write(end, left) :]
        os.close(end)

    Thread(target=write, daemon=True).start()
    return source


def read(source: Source, offset: int, length: int) -> bytes:
    """Return bytes of a source, read into one page-aligned slot."""
    slot = memoryview(mmap.mmap(-1, -(-length // PAGE) * PAGE))
    source.read_into(offset, length, [slot])
    return bytes(slot[:length])
