"""Loopback ports that stay reserved for the caller, however many tests and programs run at once."""

import atexit
import contextlib
import socket

_held = contextlib.ExitStack()
"""Sockets that keep their ports from being given to others; closed with the process."""

atexit.register(_held.close)


def free_port() -> int:
    """Return a port that this process may listen on, now and again, and that nobody else is given.

    A socket stays bound to it and never listens. The kernel then picks this port for nobody, neither for a
    socket bound to port 0 nor for a connection, but whoever names it, with SO_REUSEADDR, may listen there.
    """
    holder = _held.enter_context(socket.socket())
    holder.bind(("127.0.0.1", 0))
    # After bind: before it the kernel might pick a port that another such socket holds.
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    port: int = holder.getsockname()[1]
    return port
