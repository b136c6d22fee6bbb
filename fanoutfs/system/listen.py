"""Bind an address before the mount, so that the command reports an address in use."""

import socket

from fanoutfs.errors import UnusableError, reason

BACKLOG = 128


def listen(option: str, host: str, port: int, *, send_buffer: int | None = None) -> tuple[socket.socket, str]:
    """Listen on the first address of a host name; return the socket and that address.

    ``send_buffer``: bytes that the kernel buffers for a client that does not read; None keeps the default.
    Raise UnusableError, which names ``option``.
    """
    # localhost has two addresses; all clients try this one.
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
            # Accepted connections inherit it.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise UnusableError(
            f"{option} {host}:{port} failed: {reason(error)}; name a free port and a local address"
        ) from error
    return listening, str(address[0])
