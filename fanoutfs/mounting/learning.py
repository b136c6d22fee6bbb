"""The size of a pipe, learnt before it is mounted: it is read to its end, into the spool."""

import sys
import time

from fanoutfs.errors import UnusableError
from fanoutfs.source.contract import Source
from fanoutfs.source.pipe_source import PipeSource
from fanoutfs.source.spool import Spool
from fanoutfs.source.wrapper import find_layer
from fanoutfs.status.text import format_rate, printable
from fanoutfs.units import format_size

REFRESH_SECONDS = 0.5
"""How often the line is drawn on a terminal."""

REPEAT_SECONDS = 30.0
"""How often a line is printed elsewhere."""


def learn_size(source: Source) -> None:
    """Read a pipe of unknown size to its end, showing how far it is; do nothing for other sources.

    Ctrl-C ends it. Raise UnusableError if the pipe breaks, or its spool has too little room.
    """
    pipe, spool = find_layer(source, PipeSource), find_layer(source, Spool)
    if pipe is None or pipe.size_is_known:
        return
    if spool is None:
        raise UnusableError(f"the size of the source {source.path} is not known; add --spool DIR")
    draws = sys.stderr.isatty()
    began = shown = time.monotonic()

    def show(done: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown < (REFRESH_SECONDS if draws else REPEAT_SECONDS):
            return
        shown = now
        rate = format_rate(done / (now - began))
        line = f"fanoutfs: reading {printable(source.path)} to its end: {format_size(done)}, {rate}"
        print(f"\r{line}\033[K" if draws else line, end="" if draws else "\n", file=sys.stderr, flush=True)

    try:
        spool.learn_size(show)
    finally:
        if draws and shown != began:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
