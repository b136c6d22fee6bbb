"""The log: to the terminal or journal in the foreground, else to the file that --log names, else to syslog.

What takes the log (a syslog daemon, a pipe's reader, a file system) may be stopped or hang, and the event
loop that serves all readers must not wait for it. So a thread writes the log, out of a limited queue.
Lines that find the queue full are counted, and the count is written once there is room again.
"""

import errno
import logging
import os
import queue
import socket
import syslog
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.status.text import escaped
from fanoutfs.system import mountpoint
from fanoutfs.system.fork import starting
from fanoutfs.system.journal import SEVERITIES, is_journal, with_priority
from fanoutfs.system.runtime_dir import runtime_folder

SYSLOG = Path("/dev/log")

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

REPEAT_SECONDS = 10.0
"""Out of descriptors, trio logs a failed accept(2) ten times a second; one line in this time is enough."""

MOST_LINES = 1000
"""How many lines may wait to be written."""

END_SECONDS = 1.0
"""How long a process that ends waits for its last lines to be written."""

WriteLine = Callable[[int, str], object]
"""Writes a line of a level (logging.INFO and so on). It may block, or raise OSError: the line is lost."""


@attrs.define(eq=False)
class _Seldom:
    """A log filter that passes one record in REPEAT_SECONDS, without its traceback."""

    _next: float = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.created < self._next:
            return False
        self._next = record.created + REPEAT_SECONDS
        record.exc_info = None
        return True


@attrs.define(eq=False)
class ThreadedLog(logging.Handler):
    """A log handler that never waits: a thread writes the lines."""

    _write: WriteLine
    most: int = MOST_LINES
    lost: int = attrs.field(default=0, init=False)
    """Lines that were not written, since the last line that was."""
    _lines: "queue.Queue[tuple[int, str]]" = attrs.field(init=False)

    def __attrs_pre_init__(self) -> None:
        super().__init__()

    def __attrs_post_init__(self) -> None:
        self._lines = queue.Queue(self.most)
        with starting():
            threading.Thread(target=self._run, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line, or count it as lost."""
        try:
            self._lines.put_nowait((record.levelno, self.format(record)))
        except queue.Full:
            self.lost += 1

    def flush(self) -> None:
        """Wait until all lines are written, END_SECONDS at most."""
        with self._lines.all_tasks_done:
            self._lines.all_tasks_done.wait_for(lambda: not self._lines.unfinished_tasks, END_SECONDS)

    def _run(self) -> None:
        while True:
            level, line = self._lines.get()
            try:
                self._write(level, line)
                if self.lost:
                    lost, self.lost = self.lost, 0
                    self._write(logging.WARNING, self.format(_lost(lost)))
            except OSError:
                self.lost += 1
            finally:
                self._lines.task_done()


class LineFormatter(logging.Formatter):
    """A record is one line, and its traceback some more: names in it may have line breaks and escapes."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 (of logging)
        """Return the line."""
        return escaped(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 (of logging)
        """Return the traceback."""
        return "\n".join(map(escaped, super().formatException(ei).split("\n")))


def _lost(lines: int) -> logging.LogRecord:
    text = "lines of this log that were lost, because nothing took them: %d"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, (lines,), None)


def configure(path: Path | None, *, foreground: bool) -> str | None:
    """Configure the loggers of this process. Raise UnusableError if the log file can't be written.

    Without --log and without a syslog the daemon's log is a file in the runtime folder, created at the first
    warning: nobody would remove the logs of all copies that went well. Return the file's name in that case:
    the user could not guess it.
    """
    log_path = None
    if path is None and foreground and is_journal(2, os.environ):
        handler, form = ThreadedLog(_to_journal), "%(message)s"
    elif path is None and foreground:
        handler, form = ThreadedLog(_to_stderr), "fanoutfs: %(levelname)s: %(message)s"
    elif path is None and has_syslog():
        syslog.openlog("fanoutfs", syslog.LOG_PID, syslog.LOG_DAEMON)
        handler, form = ThreadedLog(_to_syslog), "%(levelname)s: %(message)s"
    else:
        file = _LogFile(path or runtime_folder() / f"log-{os.getpid()}")
        if path is None:
            log_path = str(file.path)
        else:
            mountpoint.require_answer(path)
            try:
                file.open()
            except OSError as error:
                message = (
                    f"the log {path} can't be written: {reason(error)}; name a different file with --log"
                )
                raise UnusableError(message) from error
        handler, form = ThreadedLog(file.write), FORMAT
        if log_path is not None:
            handler.setLevel(logging.WARNING)
    handler.setFormatter(LineFormatter(form))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # httpx logs each request at INFO.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("trio.serve_listeners").addFilter(_Seldom())
    return log_path


@attrs.define(eq=False)
class _LogFile:
    path: Path
    _fd: int | None = attrs.field(default=None, init=False)

    def open(self) -> int:
        """Return the file's descriptor; create the file at the first call."""
        if self._fd is None:
            # A pipe that nobody reads is refused, not waited for.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            self._fd = os.open(self.path, flags, 0o666)
            os.set_blocking(self._fd, True)
        return self._fd

    def write(self, _level: int, line: str) -> None:
        _write_all(self.open(), line)


def _to_stderr(_level: int, line: str) -> None:
    _write_all(2, line)


def _to_journal(level: int, line: str) -> None:
    _write_all(2, with_priority(level, line))


def _write_all(fd: int, line: str) -> None:
    """Write a line; names in it have the bytes that they have in the file system."""
    left = line.encode(errors="surrogateescape") + b"\n"
    while left:
        left = left[os.write(fd, left) :]


def _to_syslog(level: int, line: str) -> None:
    # syslog(3) takes text; it connects again when its daemon was restarted.
    text = line.encode(errors="backslashreplace").decode()
    syslog.syslog(SEVERITIES.get(level, syslog.LOG_INFO), text)


def has_syslog() -> bool:
    """Return whether a syslog daemon listens; its socket stays when it ends."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
        try:
            probe.connect(str(SYSLOG))
        except OSError as error:
            # A daemon may listen for streams.
            return error.errno == errno.EPROTOTYPE
        return True
