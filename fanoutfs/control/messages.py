"""What a producer and those who come to it say to each other: JSON, one message per line, on a Unix socket.

A message may carry descriptors. Here is what both sides need, and the side of those who come, which is plain
blocking code; the producer's side is ``door.py``.

=======  ==========================================  ===================================================
word     who says it, with what                      answer
=======  ==========================================  ===================================================
join     a consumer: target, digests, near,          welcome: size, block, slots, tickets, start, term,
         goes_on                                     identity, origin, id; and the descriptors of
                                                     memory, sheet, filled, freed
resume   a consumer whose term has ended: block      resumed: term
failed   the producer, to a consumer: error          (it hangs up)
stay     a command, for whose consumers the          staying: size, block, identity, origin, head, others
         producer shall live
status   anybody                                     status: the document
mount    a command: point, options                   mounted; then the command says what it answers;
                                                     unmounted when it has ended
refused  the producer, to any of these: error
=======  ==========================================  ===================================================

Whoever hangs up has left.
"""

import array
import contextlib
import json
import socket
from pathlib import Path
from typing import Any

import attrs

from fanoutfs.errors import FanoutError, UnusableError

MOST_FDS = 4

Message = dict[str, Any]


class HungUpError(FanoutError):
    """The other side has ended, or is about to; another one may be there a moment later."""


def packed(message: Message) -> bytes:
    """Write a message as it goes over the socket."""
    return json.dumps(message).encode() + b"\n"


def with_descriptors(fds: tuple[int, ...]) -> list[tuple[int, int, bytes]]:
    """Give the ancillary data that carries descriptors (unix(7))."""
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())] if fds else []


def descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """Take the descriptors out of it."""
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)


@attrs.define(eq=False)
class Connection:
    """A visitor's end of the socket."""

    socket: socket.socket
    _begun: bytes = attrs.field(default=b"", init=False)
    _fds: list[int] = attrs.field(factory=list, init=False)

    @classmethod
    def to(cls, path: Path) -> "Connection":
        """Connect; raises FileNotFoundError or ConnectionRefusedError when nobody is there."""
        found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            found.connect(str(path))
        except OSError:
            found.close()
            raise
        return cls(found)

    def say(self, word: str, **message: Any) -> None:
        """Send a message; raises HungUpError."""
        try:
            self.socket.sendall(packed({"word": word, **message}))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise HungUpError("the producer has ended") from error

    def hear(self, timeout: float | None = None) -> Message:
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

    def ask(self, word: str, timeout: float | None = None, **message: Any) -> Message:
        """Say and hear."""
        # If it has hung up, it may have said why.
        with contextlib.suppress(HungUpError):
            self.say(word, **message)
        return self.hear(timeout)

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
