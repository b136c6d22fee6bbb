"""The producer's end of the control socket: consumers in other processes join it, and commands query it.

``control/messages.py`` defines the messages. Only the producer's user and root are accepted; the kernel
reports a client's user (SO_PEERCRED, unix(7)). A client leaves by closing the connection, however its process
ended: what it held is released as soon as the producer sees that.

A client that breaks the rules is cut off: the connection is closed, with a line in the log. It harms no
other: ``conduct.py`` limits what a process may ask, ``shm/lender.py`` what a consumer may do to the ring.
"""

import json
import logging
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import trio

from fanoutfs.control.messages import Message, packed, with_descriptors
from fanoutfs.engine.conduct import Conduct
from fanoutfs.engine.engine import Engine
from fanoutfs.errors import (
    ClosingError,
    FanoutError,
    GoneError,
    SourceBrokeError,
    UnusableError,
    UsageError,
)
from fanoutfs.only.part import refusal
from fanoutfs.settings import MountSettings
from fanoutfs.shm.lender import Lender
from fanoutfs.shm.turn import Turn
from fanoutfs.status.document import as_plain
from fanoutfs.system import proc
from fanoutfs.system.peer import peer_process, peer_user

log = logging.getLogger(__name__)

BACKLOG = 1024
"""How many clients may connect at the same instant."""

LONGEST = 65536
"""The most bytes of a client's message."""

LONGEST_TARGET = 4096
"""Letters; Linux' longest path has fewer (PATH_MAX)."""

TAKE_SECONDS = 10.0
"""How long a client may leave its replies unread, once the socket's buffer is full."""

BUSY_SECONDS = 5.0
"""How often a client is told that its reply is being prepared: less than it bears silence."""


ZEROS_REMEDY = "; to copy all else, with zeros in its place: --on-read-error zero"


def listen(path: Path) -> socket.socket:
    """Listen at ``path``, for the process that holds the producer lock; replaces a dead producer's socket."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.bind(str(path))
    listener.listen(BACKLOG)
    return listener


@attrs.define(eq=False)
class ControlSession:
    """The producer's end of one connection."""

    socket: trio.socket.SocketType
    pid: int
    uid: int
    process: tuple[int, str] = attrs.field(init=False)
    """Its number, and when it was started."""
    prepares: bool = attrs.field(default=False, init=False)
    """A reply is being prepared that may take long: the client is told that, until the next ``send``."""
    stays: bool = attrs.field(default=False, init=False)
    """It keeps the producer alive."""
    _left: bool = attrs.field(default=False, init=False)
    _buffer: bytes = attrs.field(default=b"", init=False)

    def __attrs_post_init__(self) -> None:
        self.process = self.pid, proc.started(self.pid)

    @classmethod
    def of(cls, connected: trio.socket.SocketType) -> "ControlSession":
        """Ask the kernel for the client's process and user."""
        return cls(connected, peer_process(connected), peer_user(connected))

    async def receive(self) -> Message | None:
        """Wait for a message; None when the client has closed. Raises ValueError for an invalid message."""
        if self._left:
            # Nobody would see the answers to what is still in the buffer.
            return None
        while b"\n" not in self._buffer:
            try:
                piece = await self.socket.recv(LONGEST)
            except ConnectionResetError:
                return None
            if not piece:
                return None
            self._buffer += piece
            if len(self._buffer) > LONGEST:
                raise ValueError("its message is too long")
        line, self._buffer = self._buffer.split(b"\n", 1)
        message: Message = json.loads(line)
        return message

    async def send(self, kind: str, *, fds: tuple[int, ...] = (), **message: object) -> None:
        """Send a message; it is dropped if the client has left. Raise ValueError if it takes nothing."""
        self.prepares = False
        await self._send(kind, fds, message)

    async def _send(self, kind: str, fds: tuple[int, ...], message: Message) -> None:
        left = packed({"type": kind, **message})
        ancillary = with_descriptors(fds)
        try:
            with trio.fail_after(TAKE_SECONDS):
                while left:
                    left = left[await self.socket.sendmsg([left], ancillary) :]
                    ancillary = []
        except trio.TooSlowError as error:
            raise ValueError("it does not read its replies") from error
        except (BrokenPipeError, ConnectionResetError):
            log.debug("a client has left before it got its reply")
            self._left = True

    async def reassure(self) -> None:
        """Tell the client repeatedly that its reply is being prepared, while it is; until cancelled."""
        while True:
            await trio.sleep(BUSY_SECONDS)
            if self.prepares:
                await self._send("busy", (), {})


class _HangUpError(Exception):
    """The connection has to be closed: the client has to look for a different producer."""


@attrs.define(eq=False)
class ControlServer:
    """Serves the clients of an engine."""

    engine: Engine
    listeners: Sequence[socket.socket]
    _conduct: Conduct = attrs.field(factory=Conduct, init=False)
    _accepting: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    async def serve(self) -> None:
        """Accept clients until the engine is told to end; connected clients may stay until it has ended.

        Later clients wait for the producer lock, as if there had been no producer.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._accept, nursery)
            await self.engine.end_requested.wait()
            self._stop_accepting()

    def _stop_accepting(self) -> None:
        for listener in self.listeners:
            # An abstract name is bytes, and goes with its socket.
            if isinstance(path := listener.getsockname(), str):
                Path(path).unlink(missing_ok=True)
        self._accepting.cancel()

    async def _accept(self, clients: trio.Nursery) -> None:
        with self._accepting:
            listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(one)) for one in self.listeners]
            await trio.serve_listeners(self._serve_client, listeners, handler_nursery=clients)

    async def _serve_client(self, stream: trio.SocketStream) -> None:
        session = ControlSession.of(stream.socket)
        if session.uid not in (0, os.getuid()):
            await session.send("refused", error="this producer is another user's")
            return
        if refusal := self._conduct.refusal(session.process):
            log.debug("refusing process %d: %s", session.pid, refusal)
            await session.send("refused", error=refusal)
            return
        self._conduct.connected(session.process, trio.current_time())
        try:
            await self._serve_session(session)
        finally:
            self._conduct.closed(session.process)

    async def _serve_session(self, session: ControlSession) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(session.reassure)
                await self._serve_requests(session)
                nursery.cancel_scope.cancel()
        except* _HangUpError:
            log.info("process %d has to look for a different producer", session.pid)
        except* (ValueError, KeyError, TypeError, RecursionError) as group:
            self._conduct.offended(session.process)
            log.warning(
                "closing the connection of process %d: invalid message: %r", session.pid, _first(group)
            )
        except* Exception:
            # A bug of ours costs this client its connection, and affects no other client.
            log.exception("closing the connection of process %d: this is a bug", session.pid)

    async def _serve_requests(self, session: ControlSession) -> None:
        """Answer a client's requests until it closes the connection."""
        while (message := await self._next(session)) is not None:
            await self._answer(session, message)

    async def _next(self, session: ControlSession) -> Message | None:
        """Wait for a client's next message, and until it may be answered; None when the client has closed."""
        message = await session.receive()
        if delay := self._conduct.delay(session.process, trio.current_time()):
            await trio.sleep(delay)
        return message

    async def _answer(self, session: ControlSession, message: Message) -> None:
        match message["type"]:
            case "status":
                await session.send("status", status=as_plain(self.engine.status()))
            case "save":
                session.prepares = True
                await self.engine.map_task.save()
                await session.send("saved")
            case "stay" | "join" | "mount" if self.engine.end_requested.is_set():
                raise _HangUpError
            case "stay" | "join" as kind:
                try:
                    await (self._stay(session) if kind == "stay" else self._join(session, message))
                except (UnusableError, GoneError) as error:
                    await session.send("refused", error=str(error))
            case "started":
                self.engine.starting_line.started(session)
            case "mount":
                await self._mount(session, message)
            case kind:
                raise ValueError(f"unknown message type {kind!r}")

    async def _stay(self, session: ControlSession) -> None:
        """Keep the producer running for a command. Raise GoneError if its copies would come too late."""
        engine = self.engine
        if session.stays:
            raise ValueError("it stays already")
        session.prepares = True
        engine.ring.rules.require_beginning()
        session.stays = True
        await engine.begin_at_head()
        others = engine.users
        with engine.in_use(), engine.starting_line.awaited_by(session):
            await session.send("staying", **self._image(), head=engine.ring.rules.head, others=others)
            await self._serve_requests(session)

    # Consumers

    async def _join(self, session: ControlSession, message: Message) -> None:
        engine, blocks = self.engine, self.engine.ring.rules.blocks
        turn, start, verify = message["turn"], message["preferred_start"], bool(message["digests"])
        session.prepares = True
        if verify:
            await engine.digests.ready()
        await engine.begin_at_head()
        if message.get("again") and turn is not None:
            for block in range(*_turn(turn, blocks).rest(blocks)):
                engine.try_again(block % blocks)
        with engine.lend(
            pid=session.pid,
            command=proc.read(session.pid, "comm").rstrip("\n"),
            target=_target(message["target"]),
            turn=None if turn is None else _turn(turn, blocks),
            preferred_start=None if start is None else _block(start, blocks),
            verify=verify,
        ) as lender:
            await session.send(
                "welcome",
                fds=(engine.ring.memory.fd, lender.grant_table.fd, *lender.handed),
                id=lender.id,
                **self._image(),
                slots=engine.ring.rules.slots,
                grants=lender.capacity,
                start=lender.turn.start,
                epoch=lender.grant_table.epoch,
            )
            lender.hand_over()
            failure = await self._serve_lender(session, lender)
        if failure is not None:
            # What it held is released by now: it may read this late.
            log.warning("the copy to %s ends: %s", lender.target, failure)
            # What a pipe lacks can't be zeros: what came before may be wrong, too.
            zeros_help = isinstance(failure, SourceBrokeError) and engine.pipe is None
            remedy = ZEROS_REMEDY if zeros_help else ""
            await session.send("failed", error=f"{failure}{remedy}")

    async def _serve_lender(self, session: ControlSession, lender: Lender) -> Exception | None:
        """Serve a consumer until it leaves; return the error that has ended its lease before, or None."""
        failure: Exception | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lender.run)
                await self._serve_consumer(session, lender)
                nursery.cancel_scope.cancel()
        except* ClosingError as closing:
            raise _HangUpError from closing
        except* FanoutError as group:
            failure = _first(group)
        return failure

    def _image(self) -> dict[str, Any]:
        """Return what a client has to know of the image: ``borrower.Image``."""
        ring = self.engine.ring
        source = self.engine.source
        return {
            "identity": source.identity,
            "origin": source.origin,
            "size": ring.layout.size,
            "block": ring.block,
            "layout": ring.layout.as_plain(),
            "part": self.engine.settings.source.part,
            "once": self.engine.pipe is not None and self.engine.pipe.once,
        }

    async def _serve_consumer(self, session: ControlSession, lender: Lender) -> None:
        """Answer a consumer's messages until it closes the connection."""
        while (message := await self._next(session)) is not None:
            match message["type"]:
                case "ping":
                    await session.send("pong")
                case "resume":
                    lender.resume(_block(message["block"], 2 * self.engine.ring.rules.blocks))
                    await session.send("resumed", epoch=lender.grant_table.epoch)
                case "zeros":
                    block = _block(message["block"], 2 * self.engine.ring.rules.blocks)
                    places, final = self.engine.zeros_in(block % self.engine.ring.rules.blocks)
                    await session.send("zeros", places=places, final=final)
                case kind:
                    raise ValueError(f"a consumer can't send a message of type {kind!r}")

    # Mounts

    async def _mount(self, session: ControlSession, message: Message) -> None:
        """Mount for the command that requests it; its connection lasts as long as the mount."""
        point = _point(message["point"])
        settings = MountSettings(allow_other=bool(message["allow_other"]), options=tuple(message["options"]))

        async def ready() -> None:
            await session.send("mounted")
            reply = await session.receive() or {"answers": "its command has ended"}
            if problem := reply["answers"]:
                raise UnusableError(f"{point} does not answer: {problem}")
            log.info("%s is mounted on %s", self.engine.source.path, point)

        part = self.engine.settings.source.part
        if (why := refusal(self.engine.source.path, part, message.get("part", ""))) is not None:
            await session.send("refused", error=why)
            return
        session.prepares = True
        try:
            await self.engine.mount(point, settings, ready)
        except (UnusableError, UsageError) as error:
            log.info("a mount was refused: %s", error)
            await session.send("refused", error=str(error))
        else:
            await session.send("unmounted")


def _block(value: object, end: int) -> int:
    if not isinstance(value, int) or not 0 <= value < end:
        raise ValueError(f"{value!r} is not a block")
    return value


def _target(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_TARGET:
        raise ValueError("its target is no path")
    return value


def _point(value: object) -> Path:
    if not isinstance(value, str) or not value.startswith("/") or "\0" in value:
        raise ValueError("its mount point is no absolute path")
    return Path(value)


def _turn(value: Any, blocks: int) -> Turn:
    start, following = value
    start = _block(start, blocks)
    return Turn(start, _block(following, start + blocks + 1))


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """Return the first error of a group of groups."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
