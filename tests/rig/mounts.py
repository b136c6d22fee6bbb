"""One fanoutfs mount under test, and what must be true of it at its end."""

import contextlib
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.rig import mountinfo
from tests.rig.commands import Done, Process, fanoutfs, has_ended, run, start, wait_until

WATCH = 'read -r -t "$1"; [ $? -gt 128 ] && echo 1 > "$2"'  # a closed pipe ends it too, with status 1
HANGS = 30.0  # seconds; a watchdog whose pipe was closed has nothing left to do
SEVERE = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|^Traceback ", re.MULTILINE)


@attrs.define(eq=False)
class Mount:
    """A running mount; `expected` are patterns of the warnings that a test says are right."""

    source: Path
    point: Path
    log: Path
    pid: int
    abort: Path  # of fusectl
    expected: list[str] = attrs.field(factory=list)
    _watchdog: Process | None = attrs.field(default=None, init=False)

    @property
    def image(self) -> Path:
        """The virtual file."""
        return self.point / "image"

    @property
    def carousel(self) -> Path:
        """The virtual file that is one turn."""
        return self.point / "carousel"

    def status(self) -> dict[str, Any]:
        """Return one snapshot of the daemon's state."""
        answer: dict[str, Any] = json.loads((self.point / ".fanoutfs" / "status").read_text())
        return answer

    def source_bytes(self) -> int:
        """Return how much of the source the daemon has read by its own count."""
        return int(self.status()["source"]["bytes_read"])

    def is_idle(self) -> bool:
        """Tell whether nobody reads, nothing is held, and the producer rests: the head stays where it is."""
        status = self.status()
        busy = status["readers"] or status["source"]["reading"] or any(status["gauges"].values())
        return not busy

    def is_paced(self) -> bool:
        """Return whether a reader waits for another reader (not for the source)."""
        return any(isinstance(reader["waiting"], int) for reader in self.status()["readers"])

    def is_mounted(self) -> bool:
        """Tell whether the kernel still has a mount here."""
        return bool(mountinfo.at(self.point))

    def unmount(self, code: int | None = 0) -> Done:
        """Unmount the way a user does."""
        return fanoutfs("umount", self.point, code=code)

    def kill(self) -> None:
        """Kill the daemon, which leaves a dead mount."""
        os.kill(self.pid, signal.SIGKILL)
        wait_until(lambda: has_ended(self.pid), "the killed daemon is gone")

    def detach(self) -> None:
        """Remove a dead mount by hand."""
        run("umount", "--lazy", self.point)

    def watch(self, seconds: float) -> None:
        """Abort the mount after a while, from another process: ours may hang in a page fault."""
        command = ("bash", "-c", WATCH, "watchdog", int(seconds), self.abort)
        self._watchdog = start(*command, stdin=-1)

    def close(self) -> None:
        """End the mount as it should end, and check that nothing is left."""
        if self.is_mounted():
            wait_until(self.is_idle, "no reader is left and every gauge is at zero")
            self.unmount()
        wait_until(lambda: has_ended(self.pid), f"the daemon {self.pid} has ended")
        assert not self.is_mounted()
        assert self.unexpected_log() == []

    def abandon(self) -> None:
        """End the mount whatever state it is in: answer those who wait, detach it, kill the daemon."""
        if self.is_mounted():
            with contextlib.suppress(OSError):
                self.abort.write_text("1")
            run("umount", "--lazy", self.point, code=None)
        if not has_ended(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def stop_watching(self) -> None:
        """End the watchdog; a test that it had to help has failed."""
        if self._watchdog is None:
            return
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.close()
        code = self._watchdog.wait(HANGS)
        if self._watchdog.stderr is not None:
            self._watchdog.stderr.close()
        if self._watchdog.stdout is not None:
            self._watchdog.stdout.close()
        self._watchdog = None
        if code == 0:
            pytest.fail("the test took too long, and the mount was aborted")

    def unexpected_log(self) -> list[str]:
        """Return the lines of the log at WARNING or above that the test did not announce."""
        severe = [line for line in self.log.read_text().splitlines() if SEVERE.search(line)]
        return [line for line in severe if not any(re.search(pattern, line) for pattern in self.expected)]


def daemons_of(point: Path) -> list[int]:
    """Return the processes whose command line names this mount point (a start that never came to an end)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"mount" in words and bytes(point) in words:
                found.append(int(folder.name))
    return found


def clear(point: Path) -> None:
    """Remove whatever a failed start has left at a mount point."""
    for entry in mountinfo.at(point):
        with contextlib.suppress(OSError):
            mountinfo.abort_file(entry).write_text("1")
        run("umount", "--lazy", point, code=None)
    for pid in daemons_of(point):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
