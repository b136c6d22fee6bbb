"""Serves the application: Hypercorn speaks HTTP; this file bounds the connections in number and time.

Hypercorn's own worker does not bound its connections; it shields sending from cancellation, so that a client
that does not read would delay the engine's end; and an exception in a connection would end the mount. So
Hypercorn's protocol for one connection (``TCPServer``) runs here, on streams that are aborted when a client
is too slow or the service ends. It forks nothing, has no threads, and leaves signals alone.
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

from fanoutfs.units import KIB
from fanoutfs.web.bind_service import BoundService

log = logging.getLogger(__name__)

MOST_CONNECTIONS = 150
"""Further clients wait until one has left. Each has a descriptor, which copies need, too."""

SEND_SECONDS = 5.0
"""A client that has not received a piece within this time is disconnected."""

PIECE = 32 * KIB
"""Bytes that are sent at a time: a client on a slow link receives one in time."""

IDLE_SECONDS = 15
"""How long a connection is kept for the first or the next request."""

LEAVING_SECONDS = 1.0
"""How long after a client's end of stream its connection is kept; Hypercorn would wait for IDLE_SECONDS."""

NO_ROOM_SECONDS = 1.0


@attrs.define(eq=False)
class Client(trio.abc.HalfCloseableStream):
    """A connection that is aborted when it is closed, or when the client does not read."""

    stream: trio.SocketStream
    whole: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    """Around everything that is done for the client."""
    seconds: float = SEND_SECONDS
    _sending: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    """Hypercorn may end a stream while it sends on it."""

    @property
    def socket(self) -> trio.socket.SocketType:
        """The socket, from which Hypercorn takes the addresses."""
        return self.stream.socket

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send; abort the connection if a piece takes longer than ``seconds``."""
        view = memoryview(data)
        async with self._sending:
            for begin in range(0, len(view), PIECE):
                await self._send(view[begin : begin + PIECE])

    async def _send(self, piece: memoryview) -> None:
        with trio.move_on_after(self.seconds) as waiting:
            try:
                await self.stream.send_all(piece)
            except trio.BrokenResourceError:
                self.abort()
                raise
        if waiting.cancelled_caught:
            self.abort()
            raise trio.BrokenResourceError("the client does not read")

    async def wait_send_all_might_not_block(self) -> None:
        """See trio.abc.SendStream."""
        await self.stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive. After its end of stream a client still gets the answer in progress, but no further one."""
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
        """Abort: a task that still sends would wait for ever."""
        self.abort()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """Close at once: a task that sends or receives gets an error, shielded or not."""
        self.stream.socket.close()
        self.whole.cancel()


def configuration() -> Config:
    """Return Hypercorn's settings: it logs to our log, and does not name itself to clients."""
    config = Config()
    config.accesslog = None
    config.errorlog = log
    config.include_server_header = False
    config.keep_alive_timeout = IDLE_SECONDS
    config.ssl_handshake_timeout = IDLE_SECONDS
    return config


@attrs.define(eq=False)
class Server:
    """Accepts clients, and answers each with the application."""

    bound: BoundService
    app: ASGIApp
    clients: set[Client] = attrs.field(factory=set, init=False)
    _config: Config = attrs.field(factory=configuration, init=False)
    _context: WorkerContext = attrs.field(factory=lambda: WorkerContext(None), init=False)
    _room: trio.Semaphore = attrs.field(factory=lambda: trio.Semaphore(MOST_CONNECTIONS), init=False)

    async def run(self) -> None:
        """Serve until cancelled; then abort all connections."""
        log.info("the monitor service is at %s", self.bound.url)
        with trio.socket.from_stdlib_socket(self.bound.socket) as listening:
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
                # Mostly because no descriptor is free.
                log.info("the monitor service can't accept connections for now: %s", error.strerror)
                await trio.sleep(NO_ROOM_SECONDS)
            else:
                client = Client(trio.SocketStream(connected))
                self.clients.add(client)
                return client

    async def _answer(self, client: Client) -> None:
        """Answer a client until it leaves; an error ends with its connection."""
        stream: trio.abc.Stream = client
        if self.bound.tls is not None:
            stream = trio.SSLStream(client, self.bound.tls, server_side=True, https_compatible=True)
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
            log.debug("a client of the monitor service disconnected during a request")
        except* Exception as group:  # noqa: BLE001 (a client must not end the mount)
            log.info("a connection to the monitor service is closed: %r", group.exceptions)
        finally:
            client.abort()
            self.clients.discard(client)
            self._room.release()
