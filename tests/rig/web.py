"""The monitor service of a mount, asked as its users ask it."""

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
    """Where a service listens on this computer."""

    port: int = attrs.field(factory=free_port)

    @property
    def listen(self) -> tuple[str, str]:
        """The option that makes a mount listen there."""
        return "--listen", f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def code(self, path: str, *options: Argument) -> int:
        """Ask with curl; give the answer's number."""
        write = ("-o", "/dev/null", "-w", "%{http_code}")
        return int(run("curl", "-s", "--path-as-is", *write, *options, f"{self.url}{path}").stdout)

    def get(self, path: str) -> bytes:
        """Ask with curl; give the content of an answer that must be a good one."""
        return run("curl", "-sf", f"{self.url}{path}").stdout

    def status(self) -> dict[str, Any]:
        """Give the status document."""
        document: dict[str, Any] = json.loads(self.get("/status"))
        return document

    def crowd(self, count: int, stack: ExitStack) -> list[socket.socket]:
        """Connect so many clients, and have each ask for events; they end with the stack."""
        clients = []
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            client.settimeout(60)
            client.connect(("127.0.0.1", self.port))
            client.sendall(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            clients.append(client)
        return clients


def token_file(folder: Path, token: str) -> Path:
    """Write a token as its user should."""
    path = folder / "token"
    path.write_text(token)
    path.chmod(0o600)
    return path


def knock(port: int, count: int, stack: ExitStack) -> None:
    """Begin so many connections that say nothing, waiting for none; they end with the stack."""
    for _ in range(count):
        client = stack.enter_context(socket.socket())
        client.settimeout(0)
        client.connect_ex(("127.0.0.1", port))
