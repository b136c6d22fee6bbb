"""The monitor service in this process: asked without a socket, or on the loopback."""

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


def make_service(token: str | None = None, shown: StatusDocument = SHOWN) -> WebApp:
    access = Access(names=LOOPBACK, port=8400, token=token)
    return WebApp(access, Feed(lambda: shown), digests_of(make_rig()), clock=lambda: 1_800_000_000.0)


def digests_of(rig: Rig) -> DigestStream:
    """Give the stream of a rig's digests, of which no block may change."""
    return DigestStream(
        Recorder(rig.ring, rig.digests, lambda block: pytest.fail(f"block {block} has changed")), "disk-8:16"
    )


def client_of(service: WebApp, **headers: str) -> httpx.AsyncClient:
    """Give a client that asks the application itself; it keeps cookies."""
    transport = httpx.ASGITransport(app=service.app())
    return httpx.AsyncClient(transport=transport, base_url="http://localhost:8400", headers=headers)


def opened(**settings: Path) -> BoundService:
    return open_service(ServiceSettings(host="127.0.0.1", port=free_port(), **settings))


@attrs.define(eq=False)
class Served:
    """A service on the loopback, and those who have connected."""

    server: Server
    service: WebApp
    streams: list[trio.SocketStream] = attrs.field(factory=list)

    @property
    def port(self) -> int:
        port: int = self.server.bound.socket.getsockname()[1]
        return port

    async def connect(self) -> trio.SocketStream:
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        self.streams.append(stream)
        return stream


@asynccontextmanager
async def serving(
    shown: StatusDocument = SHOWN, rig: Rig | None = None, **settings: Path
) -> AsyncIterator[Served]:
    """Serve, and record what comes into the rig; in the end no client is left, whoever is connected."""
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
    """Receive until something has come, or the other side has ended."""
    found = b""
    while end not in found:
        piece = await stream.receive_some()
        if not piece:
            break
        found += piece
    return found


async def at_once(condition: Callable[[], bool]) -> None:
    """Look again and again while a clock that jumps stands still, for what takes none of its time."""
    until = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < until
        await trio.lowlevel.checkpoint()


async def until(condition: Callable[[], bool]) -> None:
    """Look again and again as trio's clock goes on: other ends of sockets tell nobody."""
    with trio.fail_after(HANG_SECONDS):
        while not condition():  # noqa: ASYNC110 (there is no event for it)
            await trio.sleep(0.01)
