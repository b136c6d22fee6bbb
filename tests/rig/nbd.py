"""The NBD export of a mount, read as its users read it."""

import contextlib
import json
import secrets
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import attrs

from tests.ports import free_port
from tests.rig.certificates import make_certificate
from tests.rig.commands import Argument, Done, end, processes, run, start, wait_until
from tests.rig.images import MIB

OPTION_GO, OPTION = 7, b"IHAVEOPT"
REQUEST = struct.Struct(">IHHQQI")
READ, MAGIC = 0, 0x25609513


@attrs.frozen
class Export:
    """Where an image is exported on this computer."""

    port: int = attrs.field(factory=free_port)
    secured: str = ""
    """The TLS parameters of a client's URI."""

    @property
    def options(self) -> tuple[str, str]:
        """The options that make a mount export there."""
        return "--export", f"127.0.0.1:{self.port}"

    def uri(self, name: str = "image") -> str:
        """Return the URI of an export there."""
        if not self.secured:
            return f"nbd://127.0.0.1:{self.port}/{name}"
        user, _, query = self.secured.rpartition("@")
        return f"nbds://{user}{'@' if user else ''}localhost:{self.port}/{name}?{query}"

    def copy(self, target: Path, *options: Argument, code: int | None = 0) -> Done:
        """Copy the image to a file with nbdcopy."""
        return run("nbdcopy", *options, self.uri(), target, code=code)

    def info(self, name: str = "image", *options: Argument, code: int | None = 0) -> Done:
        """Query an export with nbdinfo."""
        return run("nbdinfo", *options, self.uri(name), code=code)

    def listed(self) -> list[dict[str, Any]]:
        """Return the exports that the server lists."""
        document = json.loads(run("nbdinfo", "--list", "--json", self.uri("")).stdout)
        exports: list[dict[str, Any]] = document["exports"]
        return exports

    def request_without_reading(self, requests: int, stack: ExitStack) -> socket.socket:
        """Connect a client that requests some MiB and reads no reply; the stack closes it."""
        client = stack.enter_context(closing(socket.create_connection(("127.0.0.1", self.port), 10)))
        # A small buffer, so that the server has to wait.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        assert len(client.recv(18, socket.MSG_WAITALL)) == 18
        name = b"image"
        wanted = struct.pack(">I", len(name)) + name + struct.pack(">H", 0)
        client.sendall(struct.pack(">I", 3) + OPTION + struct.pack(">II", OPTION_GO, len(wanted)) + wanted)
        assert client.recv(8, socket.MSG_WAITALL) == struct.pack(">Q", 0x3E889045565A9)
        for number in range(requests):
            client.sendall(REQUEST.pack(MAGIC, 0, READ, number, number * MIB, MIB))
        return client


@contextlib.contextmanager
def serve(folder: Path, command: Sequence[Argument]) -> Iterator[int]:
    """Run nbdkit or qemu-nbd on a port of the loopback; return the port once it listens."""
    port, ready = free_port(), folder / "nbd.pid"
    if command[0] == "nbdkit":
        place: Sequence[Argument] = ("-f", "-P", ready, "-i", "127.0.0.1", "-p", port)
    else:
        place = (f"--pid-file={ready}", "-b", "127.0.0.1", "-p", port)
    server = start(command[0], *place, *command[1:])
    try:
        wait_until(ready.exists, f"{command[0]} listens")
        yield port
    finally:
        end(server)


def servers_of(point: Path) -> list[int]:
    """Return the processes of nbdkit that serve the image of a mount."""
    file = f"file={point}/.fanoutfs/direct"
    return [pid for pid, words in processes() if words[0] == "nbdkit" and file in words]


def is_free(port: int) -> bool:
    """Return whether a process could listen at a port."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def certificate(folder: Path, name: str = "localhost") -> tuple[Argument, ...]:
    """Make a certificate; return the options that use it. A client trusts ``folder/ca-cert.pem``."""
    folder.mkdir()
    cert, key = folder / "ca-cert.pem", folder / "key.pem"
    make_certificate(cert, key, name)
    return "--tls-cert", cert, "--tls-key", key


def key_file(path: Path, user: str = "fanoutfs") -> Path:
    """Write a shared key with the permissions that it needs."""
    path.write_text(f"{user}:{secrets.token_hex(32)}\n")
    path.chmod(0o600)
    return path
