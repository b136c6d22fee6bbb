#!/usr/bin/env python3
"""One reader as a process of its own: what it reads is held against the source, and each arrival is noted.

    checking_reader.py [--rate BYTES] [--unchecked=1] [--group CGROUP]... FILE SOURCE [DD-WORDS...]

With DD-WORDS a real dd reads FILE and this program is dd's target, through a pipe; without, it reads FILE
itself, past the page cache. With --rate the target takes so many bytes per second and no more. FILE may be a
carousel; where its first byte belongs is in its extended attribute.

It prints `ready`, waits for a line, opens FILE, prints the process id of the one that reads, and at the
end of the file one line of JSON, its times all of the monotonic clock:

    start   when FILE was opened
    first   the image's byte that came first
    right   every byte is the source's, and none is missing
    times   when something arrived
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
    parser.add_argument("--group", action="append", default=[], help="for dd alone")
    parser.add_argument("file", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("words", nargs="*")
    return parser.parse_args()


def open_input(
    file: Path, words: list[str], groups: list[str]
) -> tuple[int, int, subprocess.Popen[bytes] | None]:
    """Start to read; gives what to read from, the image's byte that comes first, and the dd."""
    wrapping = file.name == "carousel"
    if not words and not wrapping:
        return os.open(file, os.O_RDONLY | os.O_DIRECT), 0, None
    first, opened = 0, None
    if wrapping:
        # Opened here, as a shell does that has to ask where it begins.
        opened = os.open(file, os.O_RDONLY)
        first = int(os.getxattr(opened, START))
        if not words:
            return opened, first, None
    else:
        words = [f"if={file}", *words]
    enter = "".join(f"echo $$ > {group}/cgroup.procs && " for group in groups)
    command = ["sh", "-c", enter + 'exec dd "$@"', "sh", *words, "status=none"]
    dd = subprocess.Popen(command, stdin=opened, stdout=subprocess.PIPE)
    if opened is not None:
        os.close(opened)  # else the file would be closed only when this program ends, too
    assert dd.stdout is not None
    return dd.stdout.fileno(), first, dd


def main() -> None:
    """Read to the end."""
    chosen = arguments()
    with chosen.source.open("rb") as file:
        source = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    size = len(source)
    buffer = mmap.mmap(-1, PIECE)  # on a page's border, as O_DIRECT wants
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.monotonic()
    descriptor, first, dd = open_input(chosen.file, chosen.words, chosen.group)
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
