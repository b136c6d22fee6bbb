"""The client's end of the control socket, for copies and commands: plain blocking code."""

import array
import contextlib
import json
import socket
import struct
from pathlib import Path
from typing import Any

import attrs

from fanoutfs.control.messages import MOST_FDS, HungUpError, Message, descriptors, packed
from fanoutfs.errors import FanoutError, NoAnswerError, UnusableError
from fanoutfs.system.peer import peer_process
from fanoutfs.system.proc import why_silent

ANSWER_SECONDS = 10.0
"""How long a producer may be silent when a reply is due. If it needs longer it says that it is busy."""

_ABSTRACT = "\0"

_TIMEVAL = struct.Struct("@ll")
"""SO_SNDTIMEO's seconds and microseconds (socket(7))."""


@attrs.define(eq=False)
class ControlConnection:
    """A client's connection to a producer."""

    socket: socket.socket
    _buffer: bytes = attrs.field(default=b"", init=False)
    _fds: list[int] = attrs.field(factory=list, init=False)

    @classmethod
    def to(cls, address: Path | str) -> "ControlConnection":
        """Connect to a path, or to an abstract name, which begins with NUL.

        Raises FileNotFoundError or ConnectionRefusedError when no producer listens.
        Raises NoAnswerError when the producer takes no connections.
        """
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        # It limits connect(2) to a Unix socket, too, whose queue may be full.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(ANSWER_SECONDS))
        try:
            found.connect(str(address))
        except BlockingIOError as error:
            found.close()
            raise NoAnswerError(
                f"the producer has accepted no connection for {ANSWER_SECONDS:g} seconds; "
                f"its process: {_find_process(address)}"
            ) from error
        except OSError:
            found.close()
            raise
        return cls(found)

    def send(self, kind: str, **message: Any) -> None:
        """Send a message; raises HungUpError, and NoAnswerError when the producer reads none."""
        self.socket.settimeout(ANSWER_SECONDS)
        try:
            self.socket.sendall(packed({"type": kind, **message}))
        except TimeoutError as error:
            raise self._silent(ANSWER_SECONDS) from error
        except (BrokenPipeError, ConnectionResetError) as error:
            raise HungUpError("the producer has ended") from error

    def receive(self, timeout: float | None = None) -> Message:
        """Wait for a message; the producer may be silent for ``timeout`` seconds. None: without a limit.

        Raises HungUpError, NoAnswerError when it is silent for longer, UnusableError for what is no message,
        or, for a "refused" or "failed" message, FanoutError with its text.
        """
        while True:
            line = self._line(timeout)
            try:
                message: Message = json.loads(line)
                kind = message["type"]
                if kind in ("refused", "failed"):
                    raise FanoutError(message["error"])
            except (ValueError, KeyError, TypeError) as error:
                raise UnusableError(
                    f"the producer (process {self.peer}) sends what is no message; "
                    f"is it of a different version? End it with: kill {self.peer}"
                ) from error
            if kind != "busy":
                return message

    def _line(self, timeout: float | None) -> bytes:
        self.socket.settimeout(timeout)
        while b"\n" not in self._buffer:
            try:
                piece, ancillary = self._receive()
            except ConnectionResetError:
                # It ended with unread input. The kernel reports that once; what it sent before can be read.
                piece, ancillary = self._receive()
            except TimeoutError as error:
                raise self._silent(timeout or 0) from error
            self._fds += descriptors(ancillary)
            if not piece:
                raise HungUpError("the producer has ended")
            self._buffer += piece
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def _silent(self, seconds: float) -> NoAnswerError:
        return NoAnswerError(
            f"the producer has not answered for {seconds:g} seconds: {why_silent(self.peer)}"
        )

    @property
    def peer(self) -> int:
        """The producer's process, as the kernel reports it."""
        return peer_process(self.socket)

    def request(self, kind: str, timeout: float | None = None, **message: Any) -> Message:
        """Send a message and wait for the reply, ANSWER_SECONDS by default; errors as for ``receive``."""
        # A producer that has closed the connection may have sent the reason first.
        with contextlib.suppress(HungUpError):
            self.send(kind, **message)
        return self.receive(ANSWER_SECONDS if timeout is None else timeout)

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


def _find_process(address: Path | str) -> str:
    """Return the command that finds the process behind an address."""
    if isinstance(address, Path):
        return f"cat {address.with_suffix('.lock')}"
    return f"as root: ss -lxp | grep {address.removeprefix(_ABSTRACT)}"


def _timeval(seconds: float) -> bytes:
    whole, part = divmod(seconds, 1)
    return _TIMEVAL.pack(int(whole), int(part * 1_000_000))
