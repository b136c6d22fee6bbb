"""The log: to the terminal in the foreground, else to the file that --log names, else to syslog."""

import logging
import logging.handlers
import os
from pathlib import Path

import attrs

from fanoutfs.errors import UnusableError, reason
from fanoutfs.system.runtime_dir import runtime_folder

SYSLOG = Path("/dev/log")

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

REPEAT_SECONDS = 10.0
"""Out of descriptors, trio logs a failed accept(2) ten times a second; one line in this time is enough."""


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


def configure(path: Path | None, *, foreground: bool) -> str | None:
    """Configure the loggers of this process. Raise UnusableError if the log file can't be written.

    Without --log and without a syslog the daemon's log is a file in the runtime folder, created at the first
    warning: nobody would remove the logs of all copies that went well. Return the file's name in that case:
    the user could not guess it.
    """
    log_path = None
    handler: logging.Handler
    if path is None and foreground:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("fanoutfs: %(levelname)s: %(message)s"))
    elif path is None and SYSLOG.exists():
        handler = logging.handlers.SysLogHandler(str(SYSLOG), logging.handlers.SysLogHandler.LOG_DAEMON)
        handler.setFormatter(logging.Formatter(f"fanoutfs[{os.getpid()}]: %(levelname)s: %(message)s"))
    else:
        if path is None:
            path = runtime_folder() / f"log-{os.getpid()}"
            log_path = str(path)
        try:
            handler = logging.FileHandler(path, delay=log_path is not None)
        except OSError as error:
            message = f"the log {path} can't be written: {reason(error)}; name a different file with --log"
            raise UnusableError(message) from error
        handler.setFormatter(logging.Formatter(FORMAT))
        if log_path is not None:
            handler.setLevel(logging.WARNING)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # httpx logs each request at INFO.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("trio.serve_listeners").addFilter(_Seldom())
    return log_path
