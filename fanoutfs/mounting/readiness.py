"""Readiness: a mount is ready when another process has seen it answer.

The daemon must not touch its own mount, for it would wait for itself; and it must not fork once it holds
/dev/fuse, for a child that inherits it keeps readers hanging when the daemon dies. So there are two processes
from before the mount on: the server, which becomes the mount, and the helper, which waits to hear "mounted",
asks statvfs of it, and says what the mount "answers". With -f the helper is a child; else it is the command
itself, which then ends while the server stays as the daemon.
"""

import os
import threading
from pathlib import Path

from fanoutfs.engine.daemon import hear_of_start
from fanoutfs.errors import UnusableError
from fanoutfs.system.pipe import MessagePipe

ANSWER_SECONDS = 15.0
"""The mount is given so long to answer its first statvfs."""


def see_it_answer(line: MessagePipe, mountpoint: Path) -> str | None:
    """Be the helper: wait until the server is mounted, see whether it answers, and tell it so.

    Gives where the log is when the user should know, else None. Raises what ended the server: UnusableError
    or UsageError with its text.
    """
    message = hear_of_start(line, f"{mountpoint} was mounted")
    said = what_it_answers(mountpoint)
    line.send(answers=said)
    complain(mountpoint, said)
    return message.get("log")


def complain(mountpoint: Path, said: str) -> None:
    """Raise UnusableError when the mount has not answered as it should."""
    if said:
        raise UnusableError(f"{mountpoint} was mounted but {said}; it is taken down again, see the log")


def what_it_answers(mountpoint: Path) -> str:
    """Ask statvfs of the mount; empty when that is well, else what is wrong."""
    answer: list[str] = []
    asking = threading.Thread(target=lambda: answer.append(_ask(mountpoint)), daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    return answer[0] if answer else f"has not answered within {ANSWER_SECONDS:g} seconds"


def _ask(mountpoint: Path) -> str:
    try:
        os.statvfs(mountpoint)
    except OSError as error:
        return f"answers with an error: {error.strerror}"
    return ""
