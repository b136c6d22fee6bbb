"""Before the mount: an address is taken, so that one in use is an error of the command."""

import socket

from fanoutfs.errors import UnusableError, reason

BACKLOG = 128


def listen(option: str, host: str, port: int, *, send_buffer: int | None = None) -> tuple[socket.socket, str]:
    """Listen on the first address of a name, as ``option`` says; gives that address, too.

    ``send_buffer``: bytes that the kernel keeps for a client that does not take them; None leaves it the
    choice. Raises UnusableError.
    """
    # Of localhost's two addresses the one that everybody tries.
    name = "127.0.0.1" if host == "localhost" else host
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UnusableError(
            f"{option} {host}:{port}: {reason(error)}; name an address of this computer"
        ) from error
    family, _, _, _, address = found[0]
    listening = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if send_buffer is not None:
            # Those that it accepts have it from here.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise UnusableError(
            f"{option} {host}:{port} can't be: {reason(error)}; name a free port, and an address of ours"
        ) from error
    return listening, str(address[0])
