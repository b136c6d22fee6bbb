"""What one status document costs the engine's thread when 1,000 readers wait, each for a different one.

The document is that of `.fanoutfs/status`, with its gauges, for a ring of 4,000 slots whose readers are 2,000
blocks apart. Processor time in milliseconds.
"""

import statistics
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from contrib.bench.decision_cost import GAP, make_waiting
from fanoutfs.engine.snapshot import render, snapshot
from fanoutfs.fuse.reader import Reader
from fanoutfs.ring.memory import Memory
from fanoutfs.ring.ring import Ring
from fanoutfs.status.document import Gauges
from fanoutfs.units import PAGE
from tests.rig.harness import Row, finish

READERS = 1000
BAR = 50.0
ROUNDS = 15


def main() -> None:
    """Measure and report."""
    load = make_waiting(READERS)
    rules = load.rules
    ring = Ring(
        size=rules.blocks * PAGE,
        block=PAGE,
        rules=rules,
        memory=Memory(rules.slots, PAGE),
        clock=lambda: load.now,
    )
    readers = []
    for number, cursor in list(rules.open_cursors.items()):
        reader = Reader(ring, READERS + number, 1, "dd")
        reader.cursor = cursor
        reader.stream.begin(number * GAP * PAGE, PAGE)
        readers.append(reader)
    source: Any = SimpleNamespace(path="/dev/sdb", identity="8:16", origin="", size=ring.size)
    counts: Any = SimpleNamespace(bytes_read=1, reads=1, errors=0, changed=0, written=False, rate=1e8)
    milliseconds = []
    for _ in range(ROUNDS):
        before = time.thread_time()
        gauges = Gauges(slots_held=rules.held(load.now))
        document = snapshot(source, counts, ring, readers, gauges, Path("/mnt"), 0, None, None)
        render(document)
        milliseconds.append((time.thread_time() - before) * 1000)
    waiting = sum(isinstance(reader.waiting, int) for reader in document.readers)
    median = statistics.median(milliseconds)
    figure = f"{median:.1f} ms (worst {max(milliseconds):.1f}; {waiting} wait for a different one)"
    finish("one status, processor time", [Row("status", figure, f"at most {BAR:g} ms", median <= BAR)])


if __name__ == "__main__":
    main()
