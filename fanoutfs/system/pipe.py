"""A line between two processes of ours, one forked by the other: JSON, one message per packet."""

import json
import socket
from typing import Any

import attrs


@attrs.define(eq=False)
class MessagePipe:
    """One end of the pair."""

    _socket: socket.socket

    def send(self, **message: Any) -> bool:
        """Send; says whether somebody was there to hear it."""
        try:
            self._socket.send(json.dumps(message).encode())
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self, timeout: float | None = None) -> dict[str, Any]:
        """Wait for a message; an empty one when the other side has ended or the time (seconds) is over.

        A timeout of 0 takes only what is there already.
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
            # It ended with something unread. That is told once; what it said before is still there.
            return self._socket.recv(65536)

    def move(self) -> None:
        """Take another descriptor: this one is wanted for something else."""
        moved = self._socket.dup()
        self._socket.close()
        self._socket = moved

    def fileno(self) -> int:
        """Give its descriptor."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def message_pipes() -> tuple[MessagePipe, MessagePipe]:
    """Give both ends: the server's and the other's."""
    server, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return MessagePipe(server), MessagePipe(other)
