"""A message pipe between a process and one that it forked: JSON, one message per packet."""

import json
import socket
from typing import Any

import attrs


@attrs.define(eq=False)
class MessagePipe:
    """One end of the pipe."""

    _socket: socket.socket

    def send(self, **message: Any) -> bool:
        """Send a message; return False if the other end is closed."""
        try:
            self._socket.send(json.dumps(message).encode())
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for a message. Return an empty one if the other end is closed, or after ``timeout`` seconds.

        A timeout of 0 returns only a message that has already arrived.
        """
        self._socket.settimeout(timeout)
        try:
            packet = self._receive()
        except (TimeoutError, BlockingIOError):
            return {}
        return json.loads(packet) if packet else {}

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(65536)
        except ConnectionResetError:
            # The other end closed with a message unread: one error, then what it sent before can be read.
            return self._socket.recv(65536)

    def move(self) -> None:
        """Move to a different descriptor, because this number is needed for something else."""
        moved = self._socket.dup()
        self._socket.close()
        self._socket = moved

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this end."""
        self._socket.close()


def message_pipes() -> tuple[MessagePipe, MessagePipe]:
    """Return both ends: the server's and the other process's."""
    server, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return MessagePipe(server), MessagePipe(other)
