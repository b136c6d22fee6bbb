"""Where the log goes: the terminal in the foreground, a file that --log names, else syslog."""

import logging
import logging.handlers
import os
from pathlib import Path

from fanoutfs.errors import UnusableError, reason
from fanoutfs.system.runtime_dir import runtime_folder

SYSLOG = Path("/dev/log")

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure(path: Path | None, *, foreground: bool) -> str | None:
    """Send all loggers of this process there; raises UnusableError when the file can't be written.

    Without --log and without a syslog the daemon's log is a file in the runtime folder, made when there is a
    warning: nobody would remove those of all copies that went well. Gives the file's name in that case: the
    user could not guess it.
    """
    told = None
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
            told = str(path)
        try:
            handler = logging.FileHandler(path, delay=told is not None)
        except OSError as error:
            message = f"the log {path} can't be written: {reason(error)}; name another with --log"
            raise UnusableError(message) from error
        handler.setFormatter(logging.Formatter(FORMAT))
        if told is not None:
            handler.setLevel(logging.WARNING)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    # It has a line for each request.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return told
