"""The monitor service in this process: asked without a socket, or on the loopback."""

import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import httpx
import pytest
import trio

from fanoutfs.digests.recorder import Recorder
from fanoutfs.settings import ServiceSettings
from fanoutfs.status.document import StatusDocument
from fanoutfs.web.access import LOOPBACK, Access
from fanoutfs.web.app import WebApp
from fanoutfs.web.bind_service import BoundService, open_service
from fanoutfs.web.digest_stream import DigestStream
from fanoutfs.web.feed import Feed
from fanoutfs.web.http_server import Server
from tests.documents import document, reader
from tests.limits import HANG_SECONDS
from tests.ports import free_port
from tests.tasks.rig import Rig, make_rig

TOKEN = "correct-horse-battery"
SHOWN = document(reader(1), mountpoint="/mnt", delivered=1)


def secret_file(folder: Path, text: str = TOKEN, mode: int = 0o600) -> Path:
    """Write a token or a key to a new file."""
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(text.encode())
    path = Path(file.name)
    path.chmod(mode)
    return path


def make_service(token: str | None = None, shown: StatusDocument = SHOWN) -> WebApp:
    access = Access(names=LOOPBACK, port=8400, token=token)
    return WebApp(access, Feed(lambda: shown), digests_of(make_rig()), clock=lambda: 1_800_000_000.0)


def digests_of(rig: Rig) -> DigestStream:
    """Return the stream of a rig's digests; the test fails if a block changes."""
    return DigestStream(
        Recorder(rig.ring, rig.digests, lambda block: pytest.fail(f"block {block} has changed")), "disk-8:16"
    )


def client_of(service: WebApp, **headers: str) -> httpx.AsyncClient:
    """Return a client that calls the application without a socket; it keeps cookies."""
    transport = httpx.ASGITransport(app=service.app())
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8400", headers=headers)


def opened(**settings: Path) -> BoundService:
    return open_service(ServiceSettings(host="127.0.0.1", port=free_port(), **settings))


@attrs.define(eq=False)
class Served:
    """A service on the loopback, and the streams of its clients."""

    server: Server
    service: WebApp
    streams: list[trio.SocketStream] = attrs.field(factory=list)

    @property
    def port(self) -> int:
        port: int = self.server.bound.socket.getsockname()[1]
        return port

    async def connect(self, request: bytes = b"") -> trio.SocketStream:
        """Connect, and send a request."""
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        self.streams.append(stream)
        if request:
            await stream.send_all(request)
        return stream


@asynccontextmanager
async def serving(
    shown: StatusDocument = SHOWN, rig: Rig | None = None, **settings: Path
) -> AsyncIterator[Served]:
    """Serve, and record what comes into the rig; at the end the service has no client left."""
    listening = opened(**settings)
    digests = digests_of(rig or make_rig())
    service = WebApp(listening.access, Feed(lambda: shown), digests)
    served = Served(Server(listening, service.app()), service)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.feed.run)
        nursery.start_soon(digests.recorder.run)
        nursery.start_soon(served.server.run)
        try:
            with trio.fail_after(HANG_SECONDS):
                yield served
        finally:
            nursery.cancel_scope.cancel()
    assert served.server.clients == set()
    assert (service.feed.clients, digests.recorder.followers) == (0, 0)
    for stream in served.streams:
        stream.socket.close()


async def receive_until(stream: trio.abc.ReceiveStream, end: bytes) -> bytes:
    """Receive until ``end`` has come or the other side has closed the connection."""
    found = b""
    while end not in found:
        piece = await stream.receive_some()
        if not piece:
            break
        found += piece
    return found


async def at_once(condition: Callable[[], bool]) -> None:
    """Poll for what takes no time on a mock clock, which does not advance meanwhile."""
    until = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < until
        await trio.lowlevel.checkpoint()


async def until(condition: Callable[[], bool]) -> None:
    """Poll as trio's clock goes on: the other end of a socket sets no event."""
    with trio.fail_after(HANG_SECONDS):
        while not condition():  # noqa: ASYNC110 (there is no event for it)
            await trio.sleep(0.01)
