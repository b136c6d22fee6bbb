"""A consumer's or a command's end of the control socket: plain blocking code."""

import array
import contextlib
import json
import socket
from pathlib import Path
from typing import Any

import attrs

from fanoutfs.control.messages import MOST_FDS, HungUpError, Message, descriptors, packed
from fanoutfs.errors import FanoutError, UnusableError


@attrs.define(eq=False)
class ControlConnection:
    """A visitor's end of the socket."""

    socket: socket.socket
    _begun: bytes = attrs.field(default=b"", init=False)
    _fds: list[int] = attrs.field(factory=list, init=False)

    @classmethod
    def to(cls, path: Path) -> "ControlConnection":
        """Connect; raises FileNotFoundError or ConnectionRefusedError when nobody is there."""
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            found.connect(str(path))
        except OSError:
            found.close()
            raise
        return cls(found)

    def send(self, word: str, **message: Any) -> None:
        """Send a message; raises HungUpError."""
        try:
            self.socket.sendall(packed({"word": word, **message}))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise HungUpError("the producer has ended") from error

    def receive(self, timeout: float | None = None) -> Message:
        """Wait for a message, so many seconds at most.

        Raises HungUpError, UnusableError when nothing comes in time, or, when it is "refused" or "failed",
        FanoutError with what it says.
        """
        self.socket.settimeout(timeout)
        while b"\n" not in self._begun:
            try:
                piece, ancillary = self._receive()
            except ConnectionResetError:
                # It ended with something unread. That is told once; what it said before is still there.
                piece, ancillary = self._receive()
            except TimeoutError as error:
                mute = f"the producer has not answered for {timeout:g} seconds; was it stopped?"
                raise UnusableError(mute) from error
            self._fds += descriptors(ancillary)
            if not piece:
                raise HungUpError("the producer has ended")
            self._begun += piece
        line, self._begun = self._begun.split(b"\n", 1)
        message: Message = json.loads(line)
        if message["word"] in ("refused", "failed"):
            raise FanoutError(message["error"])
        return message

    def request(self, word: str, timeout: float | None = None, **message: Any) -> Message:
        """Say and hear."""
        # If it has hung up, it may have said why.
        with contextlib.suppress(HungUpError):
            self.send(word, **message)
        return self.receive(timeout)

    def _receive(self) -> tuple[bytes, list[tuple[int, int, bytes]]]:
        room = socket.CMSG_SPACE(MOST_FDS * array.array("i").itemsize)
        piece, ancillary, _, _ = self.socket.recvmsg(65536, room, socket.MSG_CMSG_CLOEXEC)
        return piece, ancillary

    def take_descriptors(self) -> list[int]:
        """Give the descriptors that came; they are the caller's from now on."""
        fds, self._fds = self._fds, []
        return fds

    def close(self) -> None:
        """Hang up."""
        self.socket.close()
