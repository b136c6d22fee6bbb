"""Read FILE from beginning to end again and again, with O_DIRECT, until stdin has a line or ends.

It prints `ready`, and in the end one line of JSON: how many bytes it has read, and the longest times between
two reads that returned bytes, in seconds, the longest first.
"""

import heapq
import json
import mmap
import os
import select
import sys
import time

PIECE = 1 << 20
KEPT = 10  # gaps


def main() -> None:
    """Read until stdin is readable."""
    buffer = mmap.mmap(-1, PIECE)  # page-aligned, as O_DIRECT requires
    gaps: list[float] = []
    total = 0
    print("ready", flush=True)
    before = time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        descriptor = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
        while count := os.readv(descriptor, [buffer]):
            now = time.monotonic()
            gaps = heapq.nlargest(KEPT, [*gaps, now - before])
            total, before = total + count, now
        os.close(descriptor)
    print(json.dumps({"bytes": total, "gaps": gaps}))


if __name__ == "__main__":
    main()
