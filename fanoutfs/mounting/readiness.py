"""Readiness: a mount is ready when another process has checked that it answers.

The daemon must not access its own mount, because it would wait for itself. It must not fork once it holds
/dev/fuse either: a child that inherits the descriptor leaves readers hanging when the daemon dies. So there
are two processes before the mount is made: the server, which serves the mount, and the checker, which waits
for "mounted", calls statvfs on the mount, and sends the result as "answers". With -f the checker is a child.
Without -f it is the command itself, which then exits while the server continues as the daemon.
"""

import os
from functools import partial
from pathlib import Path

from fanoutfs.engine.daemon import receive_start
from fanoutfs.errors import UnusableError
from fanoutfs.system import bounded
from fanoutfs.system.pipe import MessagePipe
from fanoutfs.system.ready import readable


def wait_until_ready(pipe: MessagePipe, mountpoint: Path, server: int) -> str | None:
    """Be the checker: wait until the server has mounted, probe the mount, and send the server the result.

    ``server`` is its process. Return the path of the log if the user can't know it, else None. Raise the
    error that ended the server: UnusableError or UsageError with its text.
    """
    message = receive_start(pipe, f"{mountpoint} was mounted", server)
    problem = probe(mountpoint)
    has_reported = pipe.send(answers=problem)
    if problem:
        # The server closes its end once the mount is gone.
        readable([pipe.fileno()], bounded.ANSWER_SECONDS)
    raise_unless_ready(mountpoint, problem)
    if not has_reported:
        raise UnusableError(
            f"{mountpoint} was mounted, but this command reported too late that it answers, and it was "
            "unmounted again; was the command stopped? Mount again"
        )
    return message.get("log")


def raise_unless_ready(mountpoint: Path, problem: str) -> None:
    """Raise UnusableError if the probe of the mount found a problem."""
    if problem:
        raise UnusableError(f"{mountpoint} was mounted but {problem}; it was unmounted again, see the log")


def probe(mountpoint: Path) -> str:
    """Call statvfs on the mount. Return the problem, or an empty string if the mount answers."""
    try:
        bounded.call_within(bounded.ANSWER_SECONDS, partial(os.statvfs, mountpoint))
    except TimeoutError:
        return f"has not answered within {bounded.ANSWER_SECONDS:g} seconds"
    except UnusableError as error:
        return f"can't be checked: {error}"
    except OSError as error:
        return f"answers with an error: {error.strerror}"
    return ""
