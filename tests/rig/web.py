"""The monitor service of a mount, as its users request it."""

import json
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs

from tests.ports import free_port
from tests.rig.commands import Argument, run


@attrs.frozen
class Web:
    """A service on this host."""

    port: int = attrs.field(factory=free_port)

    @property
    def listen(self) -> tuple[str, str]:
        """The option with which a mount listens there."""
        return "--listen", f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def code(self, path: str, *options: Argument) -> int:
        """Request a path with curl; return the status code."""
        write = ("-o", "/dev/null", "-w", "%{http_code}")
        return int(run("curl", "-s", "--path-as-is", *write, *options, f"{self.url}{path}").stdout)

    def get(self, path: str) -> bytes:
        """Request a path with curl; return the body of a reply that must be a success."""
        return run("curl", "-sf", f"{self.url}{path}").stdout

    def status(self) -> dict[str, Any]:
        """Return the status document."""
        document: dict[str, Any] = json.loads(self.get("/status"))
        return document

    def crowd(self, count: int, stack: ExitStack) -> list[socket.socket]:
        """Connect ``count`` clients that request events; they end with the stack."""
        clients = []
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.settimeout(60)
            client.connect(("127.0.0.1", self.port))
            client.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            clients.append(client)
        return clients


def token_file(folder: Path, token: str) -> Path:
    """Write a token file that only its user may read."""
    path = folder / "token"
    path.write_text(token)
    path.chmod(0o600)
    return path


def knock(port: int, count: int, stack: ExitStack) -> None:
    """Start ``count`` silent connections without waiting for them; they end with the stack."""
    for _ in range(count):
        client = stack.enter_context(socket.socket())
        client.settimeout(0)
        client.connect_ex(("127.0.0.1", port))
