"""Unix sockets with abstract names: they need no folder, and end with their processes (unix(7)).

Any process may take any name. One that relies on a name asks the kernel which user listens there. A network
namespace has its own names.
"""

import errno
import os
import socket
from pathlib import Path

from fanoutfs.system.peer import peer_user

TABLE = Path("/proc/net/unix")


def listen_abstract(name: str, backlog: int) -> socket.socket | None:
    """Listen at a name; return None if it is taken."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.bind(f"\0{name}")
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return listener


def is_ours(name: str) -> bool:
    """Return whether this user listens at a name, or may do so: nobody can know while its queue is full."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.settimeout(0)
        try:
            probe.connect(f"\0{name}")
        except ConnectionRefusedError:
            return False
        except BlockingIOError:
            return True
        return peer_user(probe) == os.getuid()


def abstract_names(begin: str, end: str) -> list[str]:
    """Return what stands between ``begin`` and ``end`` in the names at which somebody listens."""
    found = set()
    for line in TABLE.read_bytes().split(b"\n"):
        name = os.fsdecode(line.rpartition(b" ")[2])
        if name.startswith(f"@{begin}") and name.endswith(end):
            found.add(name.removeprefix(f"@{begin}").removesuffix(end))
    return sorted(found)
