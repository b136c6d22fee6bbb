"""Serves the application: Hypercorn speaks HTTP, here is who may be connected, and for how long.

Hypercorn's own worker has no bound on connections; it shields what it sends from cancellation, so that a
client that takes nothing would keep the engine from its end; and an exception in a connection would end the
mount. So its protocol for one connection (``TCPServer``) is run here, on streams that are given up when a
client is too slow or the service ends. It forks nothing, has no threads, and leaves signals alone.
"""

import logging
from typing import cast

import attrs
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState
from starlette.types import ASGIApp

from fanoutfs.web.bind_service import BoundService

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 150
"""Who comes beyond them waits until one has gone. Each has a descriptor, which copies need, too."""

SEND_SECONDS = 5.0
"""A client that has not taken within this what was sent is hung up on."""

IDLE_SECONDS = 15
"""A connection is kept so long for another request, or until the first has come."""

LEAVING_SECONDS = 1.0
"""A client that has hung up is let go after so long; Hypercorn would wait for IDLE_SECONDS."""

NO_ROOM_SECONDS = 1.0


@attrs.define(eq=False)
class Client(trio.abc.HalfCloseableStream):
    """A connection that ends for good when it is closed, or its other end takes nothing."""

    stream: trio.SocketStream
    whole: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """All that is done for it."""
    seconds: float = SEND_SECONDS
    _sending: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    """Hypercorn may end a stream while it sends on it."""

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket, for Hypercorn to ask who it is."""
        return self.stream.socket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send, in time."""
        with trio.move_on_after(self.seconds) as waiting:
            try:
                async with self._sending:
                    await self.stream.send_all(data)
            except trio.BrokenResourceError:
                self.abort()
                raise
        if waiting.cancelled_caught:
            self.abort()
            raise trio.BrokenResourceError("it takes nothing")

    async def wait_send_all_might_not_block(self) -> None:
        """See trio.abc.SendStream."""
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive; who has said that no more comes may have what is under way, and no more."""
        try:
            data = await self.stream.receive_some(max_bytes)
        except trio.BrokenResourceError:
            self.abort()
            raise
        if not data:
            self.whole.deadline = trio.current_time() + LEAVING_SECONDS
        return data

    async def send_eof(self) -> None:
        """See trio.abc.HalfCloseableStream."""
        async with self._sending:
            await self.stream.send_eof()

    async def aclose(self) -> None:
        """Close; a task that still has something for it would wait for ever."""
        self.abort()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Close at once: who sends or receives gets an error, shielded or not."""
        self.stream.socket.close()
        self.whole.cancel()


def configuration() -> Config:
    """Give Hypercorn's settings: its log is ours, and it says nothing about itself."""
    config = Config()
    config.accesslog = None
    config.errorlog = log
    config.include_server_header = False
    config.keep_alive_timeout = IDLE_SECONDS
    config.ssl_handshake_timeout = IDLE_SECONDS
    return config


@attrs.define(eq=False)
class Server:
    """Lets clients in, and answers each with the application."""

    opened: BoundService
    app: ASGIApp
    clients: set[Client] = attrs.field(factory=set, init=False)
    _config: Config = attrs.field(factory=configuration, init=False)
    _context: WorkerContext = attrs.field(factory=lambda: WorkerContext(None), init=False)
    _room: trio.Semaphore = attrs.field(factory=lambda: trio.Semaphore(MOST_CONNECTIONS), init=False)

    async def run(self) -> None:
        """Serve until it is cancelled; then all connections are closed, in whatever state."""
        log.info("the monitor service is at %s", self.opened.url)
        with trio.socket.from_stdlib_socket(self.opened.socket) as listening:
            async with trio.open_nursery() as nursery:
                try:
                    while True:
                        await self._room.acquire()
                        nursery.start_soon(self._answer, await self._accept(listening))
                finally:
                    for client in self.clients:
                        client.abort()

    async def _accept(self, listening: trio.socket.SocketType) -> Client:
        while True:
            try:
                connected, _ = await listening.accept()
            except OSError as error:
                # No descriptor is free, mostly.
                log.info("nobody can connect to the service for now: %s", error.strerror)
                await trio.sleep(NO_ROOM_SECONDS)
            else:
                client = Client(trio.SocketStream(connected))
                self.clients.add(client)
                return client

    async def _answer(self, client: Client) -> None:
        """Answer a client until it goes; whatever goes wrong ends with its connection."""
        stream: trio.abc.Stream = client
        if self.opened.tls is not None:
            stream = trio.SSLStream(client, self.opened.tls, server_side=True, https_compatible=True)
        try:
            with client.whole:
                await TCPServer(
                    ASGIWrapper(cast("ASGIFramework", self.app)),
                    self._config,
                    self._context,
                    ConnectionState({}),
                    cast("trio.SSLStream[trio.SocketStream]", stream),
                ).run()
        except* (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
            log.debug("a client of the service has gone in the middle")
        except* Exception as group:  # noqa: BLE001 (a client must not end the mount)
            log.info("a connection to the service is let go: %r", group.exceptions)
        finally:
            client.abort()
            self.clients.discard(client)
            self._room.release()
