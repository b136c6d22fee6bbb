"""The client's end of the control socket, for copies and commands: plain blocking code."""

import array
import contextlib
import json
import socket
from pathlib import Path
from typing import Any

import attrs

from fanoutfs.control.messages import MOST_FDS, HungUpError, Message, descriptors, packed
from fanoutfs.errors import FanoutError, UnusableError

ANSWER_SECONDS = 15.0
"""How long to wait for the reply of a running producer."""


@attrs.define(eq=False)
class ControlConnection:
    """A client's connection to a producer."""

    socket: socket.socket
    _buffer: bytes = attrs.field(default=b"", init=False)
    _fds: list[int] = attrs.field(factory=list, init=False)

    @classmethod
    def to(cls, path: Path) -> "ControlConnection":
        """Connect; raises FileNotFoundError or ConnectionRefusedError when no producer listens."""
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            found.connect(str(path))
        except OSError:
            found.close()
            raise
        return cls(found)

    def send(self, kind: str, **message: Any) -> None:
        """Send a message; raises HungUpError."""
        try:
            self.socket.sendall(packed({"type": kind, **message}))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise HungUpError("the producer has ended") from error

    def receive(self, timeout: float | None = None) -> Message:
        """Wait for a message, at most ``timeout`` seconds.

        Raises HungUpError, UnusableError when no message arrives in time, or, for a "refused" or "failed"
        message, FanoutError with its text.
        """
        self.socket.settimeout(timeout)
        while b"\n" not in self._buffer:
            try:
                piece, ancillary = self._receive()
            except ConnectionResetError:
                # It ended with unread input. The kernel reports that once; what it sent before can be read.
                piece, ancillary = self._receive()
            except TimeoutError as error:
                text = f"the producer has not answered for {timeout:g} seconds; was it stopped?"
                raise UnusableError(text) from error
            self._fds += descriptors(ancillary)
            if not piece:
                raise HungUpError("the producer has ended")
            self._buffer += piece
        line, self._buffer = self._buffer.split(b"\n", 1)
        message: Message = json.loads(line)
        if message["type"] in ("refused", "failed"):
            raise FanoutError(message["error"])
        return message

    def request(self, kind: str, timeout: float | None = None, **message: Any) -> Message:
        """Send a message and wait for the reply."""
        # A producer that has closed the connection may have sent the reason first.
        with contextlib.suppress(HungUpError):
            self.send(kind, **message)
        return self.receive(timeout)

    def _receive(self) -> tuple[bytes, list[tuple[int, int, bytes]]]:
        room = socket.CMSG_SPACE(MOST_FDS * array.array("i").itemsize)
        piece, ancillary, _, _ = self.socket.recvmsg(65536, room, socket.MSG_CMSG_CLOEXEC)
        return piece, ancillary

    def take_descriptors(self) -> list[int]:
        """Return the descriptors received so far; the caller owns them from now on."""
        fds, self._fds = self._fds, []
        return fds

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()
