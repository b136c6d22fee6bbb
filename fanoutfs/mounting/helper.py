"""Readiness: a mount is ready when another process has seen it answer.

The daemon must not touch its own mount, for it would wait for itself; and it must not fork once it holds
/dev/fuse, for a child that inherits it keeps readers hanging when the daemon dies. So there are two processes
from before the mount on: the server, which becomes the mount, and the helper, which waits to hear "mounted",
asks statvfs of it, and says "answers". With -f the helper is a child; else it is the command itself, which
then ends while the server stays as the daemon.

One socket pair joins them; messages are JSON, one per packet.
"""

import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import attrs

from fanoutfs.errors import FanoutError, UnusableError

ANSWER_SECONDS = 15.0
"""The mount is given so long to answer its first statvfs."""


@attrs.define(eq=False)
class Line:
    """One end of the pair."""

    _socket: socket.socket

    def tell(self, **message: Any) -> bool:
        """Send; says whether somebody was there to hear it."""
        try:
            self._socket.send(json.dumps(message).encode())
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def hear(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for a message; an empty one when the other side has ended or the time (seconds) is over."""
        self._socket.settimeout(timeout)
        try:
            packet = self._socket.recv(65536)
        except (TimeoutError, ConnectionResetError):
            return {}
        return json.loads(packet) if packet else {}

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def lines() -> tuple[Line, Line]:
    """Give both ends: the server's and the helper's."""
    server, helper = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Line(server), Line(helper)


def see_it_answer(line: Line, mountpoint: Path) -> str | None:
    """Be the helper: wait until the server is mounted, see whether it answers, and tell it so.

    Gives where the log is when the user should know, else None. Raises what ended the server: UnusableError
    or UsageError with its text.
    """
    message = line.hear()
    if "error" in message:
        error = FanoutError(message["error"])
        error.exit_code = message["exit_code"]  # type: ignore[misc]  # this one's own
        raise error
    if "mounted" not in message:
        raise UnusableError(f"the daemon ended before {mountpoint} was mounted; its log says why")
    answer: list[str] = []
    asking = threading.Thread(target=lambda: answer.append(_ask(mountpoint)), daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS)
    said = answer[0] if answer else f"has not answered within {ANSWER_SECONDS:g} seconds"
    line.tell(answers=said)
    if said:
        raise UnusableError(f"{mountpoint} was mounted but {said}; it is taken down again, see the log")
    return message.get("log")


def _ask(mountpoint: Path) -> str:
    try:
        os.statvfs(mountpoint)
    except OSError as error:
        return f"answers with an error: {error.strerror}"
    return ""
