"""Let killed readers exit: the kernel keeps a reader in state D until its read is answered.

libfuse does not pass FUSE_INTERRUPT on through pyfuse3. So every quarter second the reaper checks the
waiting readers in /proc, and answers the read of a process with a pending fatal signal with EINTR. Other
reads are not interrupted: programs do not survive EINTR, EAGAIN or ETIMEDOUT from a plain read.

The reaper checks the process that opened the file. If a different process reads (a shell opened the file for
its child), its read is not interrupted and waits for its bytes.
"""

import signal

import attrs
import trio

from fanoutfs.fuse.operations import Filesystem
from fanoutfs.ring.ring import Ring
from fanoutfs.system import proc

INTERVAL = 0.25

FATAL = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL, signal.SIGTERM)


def has_fatal_signal(status: str) -> bool:
    """Return whether /proc/PID/status shows a pending fatal signal that is neither blocked nor ignored."""
    masks = dict.fromkeys(("SigPnd", "ShdPnd", "SigBlk", "SigIgn"), 0)
    for line in status.splitlines():
        key, _, value = line.partition(":")
        if key in masks:
            masks[key] = int(value, 16)
    deliverable = (masks["SigPnd"] | masks["ShdPnd"]) & ~masks["SigBlk"] & ~masks["SigIgn"]
    return any(deliverable & (1 << (number - 1)) for number in FATAL)


@attrs.define(eq=False)
class Reaper:
    """Interrupts the reads of killed processes that wait in the ring."""

    ring: Ring
    filesystem: Filesystem

    async def run(self) -> None:
        """Check every INTERVAL seconds, until cancelled."""
        while True:
            await trio.sleep(INTERVAL)
            self.look()

    def look(self) -> None:
        """Interrupt the reads of killed readers."""
        pids = {handle.consumer.id: handle.consumer.pid for handle in self.filesystem.readers}
        now = self.ring.clock()
        for waiting in self.ring.waiting():
            pid = pids.get(waiting.request.cursor.id)
            if pid and now - waiting.request.since >= INTERVAL and has_fatal_signal(proc.read(pid, "status")):
                self.ring.reader_gone(waiting)
