"""One fanoutfs mount, and what a test requires of it at its end."""

import contextlib
import json
import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from tests.rig import mountinfo
from tests.rig.commands import Done, Process, end, fanoutfs, has_ended, processes, run, start, wait_until

WATCH = 'read -r -t "$1"; [ $? -gt 128 ] && echo 1 > "$2"'  # a closed pipe ends it too, with status 1
HANGS = 30.0  # seconds; a watchdog whose pipe was closed has nothing left to do
SEVERE = re.compile(r"\b(WARNING|ERROR|CRITICAL)\b|^Traceback ", re.MULTILINE)


@attrs.define(eq=False)
class Mount:
    """A running mount; `expected` are patterns of the warnings that a test expects in its log."""

    source: Path
    point: Path
    log: Path
    pid: int = 0
    expected: list[str] = attrs.field(factory=list)
    _watchdog: Process | None = attrs.field(default=None, init=False)

    @property
    def image(self) -> Path:
        """The virtual file."""
        return self.point / "image"

    @property
    def carousel(self) -> Path:
        """The virtual file that starts at the current read position and wraps round."""
        return self.point / "carousel"

    def status(self) -> dict[str, Any]:
        """Return one snapshot of the daemon's state."""
        document: dict[str, Any] = json.loads(self._read("status"))
        return document

    def head(self) -> int:
        """Return the producer's position, in bytes; cheaper than the status."""
        return int(self._read("head"))

    def _read(self, name: str) -> bytes:
        """Read a small file in a process of its own, which can be abandoned if the mount hangs."""
        return run("cat", self.point / ".fanoutfs" / name).stdout

    def source_bytes(self) -> int:
        """Return the bytes of the source that the daemon has read, by its own count."""
        return int(self.status()["source"]["bytes_read"])

    def is_idle(self) -> bool:
        """Return whether there is no reader, all gauges are zero, and the producer does not read."""
        status = self.status()
        busy = status["readers"] or status["source"]["reading"] or any(status["gauges"].values())
        return not busy

    def is_paced(self) -> bool:
        """Return whether a reader waits for a different reader, not for the source."""
        return any(isinstance(reader["waiting"], int) for reader in self.status()["readers"])

    def is_mounted(self) -> bool:
        """Return whether the kernel still has a mount here."""
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
        """Abort the mount after some seconds, from another process: ours may hang in a page fault."""
        abort = mountinfo.abort_file(mountinfo.at(self.point)[-1])
        command = ("bash", "-c", WATCH, "watchdog", int(seconds), abort)
        self._watchdog = start(*command, stdin=-1)

    def close(self) -> None:
        """Unmount, and check that the daemon ends and has logged nothing unexpected."""
        if self.is_mounted():
            wait_until(self.is_idle, "no reader is left and every gauge is at zero")
            self.unmount()
        wait_until(lambda: has_ended(self.pid), f"the daemon {self.pid} has ended")
        assert not self.is_mounted()
        assert self.unexpected_log() == []

    def abandon(self) -> None:
        """End the mount whatever state it is in: abort it, detach it, kill the daemon."""
        clear(self.point)
        if not has_ended(self.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def stop_watching(self) -> None:
        """End the watchdog; raise AssertionError if it had to abort the mount."""
        if self._watchdog is None:
            return
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.close()
        code = self._watchdog.wait(HANGS)
        end(self._watchdog)
        self._watchdog = None
        if code == 0:
            raise AssertionError("the test took too long, and the mount was aborted")

    def unexpected_log(self) -> list[str]:
        """Return the lines of the log at WARNING or above that the test does not expect."""
        return unexpected_lines(self.log.read_text(), self.expected)


def unexpected_lines(log: str, expected: Sequence[str]) -> list[str]:
    """Return the lines of a log at WARNING or above that match none of the expected patterns."""
    severe = [line for line in log.splitlines() if SEVERE.search(line)]
    return [line for line in severe if not any(re.search(pattern, line) for pattern in expected)]


def clear(point: Path) -> None:
    """Abort and detach what is mounted at a point, and kill its daemons."""
    mountinfo.abort(point)
    for _ in mountinfo.at(point):
        run("umount", "--lazy", point, code=None)
    for pid, words in processes():
        if "mount" in words and str(point) in words:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
