"""Letting killed readers die: the kernel keeps a reader in D until its read is answered.

libfuse through pyfuse3 tells nobody of FUSE_INTERRUPT, so every quarter second those that wait are looked at
in /proc: who has a signal pending that ends a program gets its read back with EINTR. Who merely waits gets
nothing: programs do not survive EINTR, EAGAIN or ETIMEDOUT from a plain read.

The process looked at is the one that opened the file. Where another one reads (a shell opened it for its
child), nothing is done for it, and it waits no longer than its bytes do.
"""

import signal

import attrs
import trio

from fanoutfs.fuse.operations import Filesystem
from fanoutfs.ring.ring import Ring
from fanoutfs.system import proc

INTERVAL = 0.25

FATAL = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGKILL, signal.SIGTERM)


def told_to_die(status: str) -> bool:
    """Say whether /proc/PID/status shows a pending signal that ends programs, not blocked, not ignored."""
    masks = dict.fromkeys(("SigPnd", "ShdPnd", "SigBlk", "SigIgn"), 0)
    for line in status.splitlines():
        key, _, value = line.partition(":")
        if key in masks:
            masks[key] = int(value, 16)
    deliverable = (masks["SigPnd"] | masks["ShdPnd"]) & ~masks["SigBlk"] & ~masks["SigIgn"]
    return any(deliverable & (1 << (number - 1)) for number in FATAL)


@attrs.define(eq=False)
class Reaper:
    """Looks after the readers of a mount that wait in the ring."""

    ring: Ring
    filesystem: Filesystem

    async def run(self) -> None:
        """Look every INTERVAL seconds, for ever."""
        while True:
            await trio.sleep(INTERVAL)
            self.look()

    def look(self) -> None:
        """Give back the reads of readers told to die."""
        pids = {handle.consumer.id: handle.consumer.pid for handle in self.filesystem.readers}
        now = self.ring.clock()
        for waiting in self.ring.waiting():
            pid = pids.get(waiting.request.cursor.id)
            if pid and now - waiting.request.since >= INTERVAL and told_to_die(proc.read(pid, "status")):
                self.ring.reader_gone(waiting)
