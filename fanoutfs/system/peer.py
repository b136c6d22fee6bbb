"""The process and user at the other end of a connected Unix socket: SO_PEERCRED of unix(7)."""

import socket
import struct
from typing import Protocol

_UCRED = struct.Struct("=iII")
"""The process, user and group."""


class Connected(Protocol):
    """A connected socket of the standard library, or of trio."""

    def getsockopt(self, level: int, optname: int, buflen: int, /) -> bytes:
        """Return an option of the socket."""


def peer_process(connected: Connected) -> int:
    """Return the process that connected, or that listens."""
    return _credentials(connected)[0]


def peer_user(connected: Connected) -> int:
    """Return the user of that process."""
    return _credentials(connected)[1]


def _credentials(connected: Connected) -> tuple[int, int]:
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    process, user, _ = _UCRED.unpack(raw)
    return process, user
