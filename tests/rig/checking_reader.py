#!/usr/bin/env python3
"""One reader as a process of its own: compares what it reads with the source, and records each arrival.

    checking_reader.py [--rate BYTES] [--unchecked=1] FILE SOURCE [COMMAND...]

With COMMAND, a dd of FILE, this program reads what the command writes, through a pipe; without, it reads FILE
itself, past the page cache. With --rate it reads at most BYTES per second. FILE may be a carousel,
which is the command's standard input; its extended attribute says where in the image its first byte belongs.

It prints `ready`, waits for a line, opens FILE, prints the id of the process that reads FILE, and at the end
of the file one line of JSON (all times are those of the monotonic clock):

    start   when FILE was opened
    first   the position in the image of the first byte read
    right   whether every byte is the source's, and none is missing
    times   when bytes arrived
    totals  how many bytes had arrived by then
"""

import argparse
import json
import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

PIECE = 1 << 20
START = "user.fanoutfs.start"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float)
    parser.add_argument("--unchecked", type=int, default=0)
    parser.add_argument("file", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("command", nargs="*")
    return parser.parse_args()


def open_input(file: Path, command: list[str]) -> tuple[int, int, subprocess.Popen[bytes] | None]:
    """Open the file; return what to read from, the position of the first byte, and the command's process."""
    first, opened = 0, None
    if file.name == "carousel":
        # Opened here, as a shell script does that needs the start.
        opened = os.open(file, os.O_RDONLY)
        first = int(os.getxattr(opened, START))
    elif not command:
        opened = os.open(file, os.O_RDONLY | os.O_DIRECT)
    if not command:
        assert opened is not None
        return opened, first, None
    process = subprocess.Popen(command, stdin=opened, stdout=subprocess.PIPE)
    if opened is not None:
        os.close(opened)  # else the file would stay open until this program ends
    assert process.stdout is not None
    return process.stdout.fileno(), first, process


def main() -> None:
    """Read to the end."""
    chosen = arguments()
    with chosen.source.open("rb") as file:
        source = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    size = len(source)
    buffer = mmap.mmap(-1, PIECE)  # page-aligned, as O_DIRECT requires
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.monotonic()
    descriptor, first, dd = open_input(chosen.file, chosen.command)
    print(dd.pid if dd else os.getpid(), flush=True)
    total, right = 0, True
    times, totals = [], []
    while count := os.readv(descriptor, [buffer]):
        times.append(time.monotonic())
        at = (first + total) % size
        if not chosen.unchecked:
            wrapped = max(0, at + count - size)
            right = right and buffer[: count - wrapped] == source[at : at + count - wrapped]
            right = right and (not wrapped or buffer[count - wrapped : count] == source[:wrapped])
        total += count
        totals.append(total)
        if chosen.rate:
            time.sleep(max(0.0, start + total / chosen.rate - time.monotonic()))
    right = right and total == size and (dd is None or dd.wait() == 0)
    print(json.dumps({"start": start, "first": first, "right": right, "times": times, "totals": totals}))


if __name__ == "__main__":
    main()
