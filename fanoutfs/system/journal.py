"""The journal of systemd, where it has this process's stderr: see $JOURNAL_STREAM in systemd.exec(5).

A line that begins with <3> has the priority 3 there (sd-daemon(3)); time and process it adds by itself.
"""

import logging
import os
import syslog
from collections.abc import Mapping

SEVERITIES = {
    logging.DEBUG: syslog.LOG_DEBUG,
    logging.INFO: syslog.LOG_INFO,
    logging.WARNING: syslog.LOG_WARNING,
    logging.ERROR: syslog.LOG_ERR,
    logging.CRITICAL: syslog.LOG_CRIT,
}
"""The priorities of syslog(3) and the journal, by level."""


def is_journal(descriptor: int, environ: Mapping[str, str]) -> bool:
    """Return whether what is written to a descriptor goes to the journal.

    The variable alone does not say so: a descriptor may have been redirected since.
    """
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def with_priority(level: int, text: str) -> str:
    """Return the text for the journal; each line of it, as of a traceback, has the priority."""
    severity = SEVERITIES.get(level, syslog.LOG_INFO)
    return "\n".join(f"<{severity}>{line}" for line in text.split("\n"))
