"""The messages on a producer's control socket: JSON, one message per line, on a Unix socket.

A message may carry file descriptors. This module has what both ends need; ``client.py`` is the client's end,
``engine/control_server.py`` the producer's.

=======  =========================================  ====================================================
type     sender, with which fields                  reply
=======  =========================================  ====================================================
join     a copy: target, digests,                   welcome: size, block, layout, part, slots, grants,
         preferred_start, turn, again               start, epoch, identity, origin, id; with the
                                                    descriptors of memory, grant table, filled, freed
resume   a copy whose epoch has ended: block        resumed: epoch
zeros    a copy that holds a grant with zeros in    zeros: places, final
         place of data: block
failed   the producer, to a copy: error             none; the producer closes the connection
stay     a command, to keep the producer alive      staying: size, block, layout, part, identity, origin,
         until its copies have joined               head, others
started  a command that stays: its copies have       none
         joined, or failed
save     a command, when its copies have ended      saved: the map of bad places is on the disk
status   any client                                 status: the status document
mount    a command: point, allow_other, options,    mounted; the command sends ``answers``; unmounted
         part                                       once the mount has ended
ping     a copy that waits for a block              pong
busy     the producer, while it prepares a reply    none: the reply follows
refused  the producer, to any of these: error       none
=======  =========================================  ====================================================

Blocks in messages are dense (``layout.py``): ``layout`` says where they are in the image, null for a source
without holes; ``part`` is what of the source is copied (``--only``). Closing the connection means leaving.
"""

import array
import json
import socket
from typing import Any

from fanoutfs.errors import FanoutError

MOST_FDS = 4
"""The most descriptors that one message carries."""

Message = dict[str, Any]


class HungUpError(FanoutError):
    """The other end has ended, or is about to; a different producer may be there a moment later."""


def packed(message: Message) -> bytes:
    """Return the bytes of a message on the socket."""
    return json.dumps(message).encode() + b"\n"


def with_descriptors(fds: tuple[int, ...]) -> list[tuple[int, int, bytes]]:
    """Return the ancillary data that carries descriptors (unix(7))."""
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())] if fds else []


def descriptors(ancillary: list[tuple[int, int, bytes]]) -> list[int]:
    """Return the descriptors that ancillary data carries."""
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)
