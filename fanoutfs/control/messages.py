"""What a producer and those who come to it say to each other: JSON, one message per line, on a Unix socket.

A message may carry descriptors. Here is what both sides need, and the side of those who come, which is plain
blocking code; the producer's side is ``door.py``.

=======  ==========================================  ===================================================
word     who says it, with what                      answer
=======  ==========================================  ===================================================
join     a consumer: target, digests,                welcome: size, block, slots, tickets, start, term,
         preferred_start, turn                       identity, origin, id; and the descriptors of
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
import json
import socket
from typing import Any

from fanoutfs.errors import FanoutError

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
