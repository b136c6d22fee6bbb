"""The door of an engine: a Unix socket at which consumers in other processes join, and at which it is asked.

``wire.py`` has the words. Only the same user and root are let in, as the kernel says who they are
(SO_PEERCRED, unix(7)). A visitor that hangs up has left, however it ended: what it held is free as soon as
that is seen.
"""

import errno
import json
import logging
import os
import socket
import struct
from pathlib import Path
from typing import Any

import attrs
import trio

from fanoutfs.control.messages import Message, packed, with_descriptors
from fanoutfs.engine.engine import Engine
from fanoutfs.errors import ClosingError, FanoutError, UnusableError, UsageError, reason
from fanoutfs.settings import MountSettings
from fanoutfs.shm.lender import Lender
from fanoutfs.shm.turn import Turn
from fanoutfs.system import proc

log = logging.getLogger(__name__)

BACKLOG = 1024
"""Visitors that may knock in one instant."""

LONGEST = 65536
"""Bytes of a visitor's message."""

NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS)
"""What accept(2) says when there is no room for another visitor now; they wait in the queue."""

NO_ROOM_SECONDS = 0.5

_UCRED = struct.Struct("=iII")


def listen(path: Path) -> socket.socket:
    """Open the door; whoever holds the source's claim may, and what a dead one has left there is removed."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    listener.bind(str(path))
    listener.listen(BACKLOG)
    return listener


@attrs.define(eq=False)
class ControlSession:
    """The engine's end of one connection."""

    socket: trio.socket.SocketType
    pid: int
    uid: int
    _begun: bytes = attrs.field(default=b"", init=False)

    @classmethod
    def of(cls, connected: trio.socket.SocketType) -> "ControlSession":
        """See who has come."""
        pid, uid, _ = _UCRED.unpack(connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        return cls(connected, pid, uid)

    async def receive(self) -> Message | None:
        """Wait for a message; None when it has hung up. Raises ValueError for what is none."""
        while b"\n" not in self._begun:
            try:
                piece = await self.socket.recv(LONGEST)
            except ConnectionResetError:
                return None
            if not piece:
                return None
            self._begun += piece
            if len(self._begun) > LONGEST:
                raise ValueError("its message is too long")
        line, self._begun = self._begun.split(b"\n", 1)
        message: Message = json.loads(line)
        return message

    async def send(self, word: str, *, fds: tuple[int, ...] = (), **message: object) -> None:
        """Send a message; one to a visitor that has left goes nowhere."""
        left = packed({"word": word, **message})
        ancillary = with_descriptors(fds)
        try:
            while left:
                left = left[await self.socket.sendmsg([left], ancillary) :]
                ancillary = []
        except (BrokenPipeError, ConnectionResetError):
            log.debug("a visitor has left before it was answered")


class _HangUpError(Exception):
    """The visitor is to be hung up on: it has to look for another producer."""


@attrs.define(eq=False)
class ControlServer:
    """Serves an engine's visitors."""

    engine: Engine
    listener: socket.socket
    _letting_in: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)

    async def serve(self) -> None:
        """Let them in until the engine is told to end; those who are in may stay until it has.

        Who knocks then waits for the claim, as if nobody had been here.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._let_in, nursery)
            await self.engine.told_to_end.wait()
            self._shut()

    def _shut(self) -> None:
        Path(self.listener.getsockname()).unlink(missing_ok=True)
        self._letting_in.cancel()

    async def _let_in(self, nursery: trio.Nursery) -> None:
        with self._letting_in, trio.socket.from_stdlib_socket(self.listener) as listener:
            while True:
                try:
                    connected, _ = await listener.accept()
                except OSError as error:
                    if error.errno not in NO_ROOM:
                        raise
                    log.warning("who knocks has to wait: %s", reason(error))
                    await trio.sleep(NO_ROOM_SECONDS)
                    continue
                nursery.start_soon(self._visit, ControlSession.of(connected))

    async def _visit(self, visitor: ControlSession) -> None:
        with visitor.socket:
            if visitor.uid not in (0, os.getuid()):
                await visitor.send("refused", error="this producer is another user's")
                return
            try:
                await self._converse(visitor)
            except* _HangUpError:
                log.info("process %d has to look for another producer", visitor.pid)
            except* (ValueError, KeyError, TypeError, RecursionError) as group:
                log.warning("process %d at the door is let go: %r", visitor.pid, _first(group))
            except* Exception:
                # A bug of ours costs this visitor its connection, and nobody else anything.
                log.exception("process %d at the door is let go: this is a bug", visitor.pid)

    async def _converse(self, visitor: ControlSession) -> None:
        """Answer a visitor until it hangs up."""
        while (message := await visitor.receive()) is not None:
            await self._answer(visitor, message)

    async def _answer(self, visitor: ControlSession, message: Message) -> None:
        match message["word"]:
            case "status":
                await visitor.send("status", status=self.engine.status())
            case "stay" | "join" | "mount" if self.engine.told_to_end.is_set():
                raise _HangUpError
            case "stay":
                await self.engine.begin_at_head()
                others = self.engine.users
                with self.engine.in_use():
                    await visitor.send(
                        "staying", **self._image(), head=self.engine.ring.rules.head, others=others
                    )
                    await self._converse(visitor)
            case "join":
                try:
                    await self._join(visitor, message)
                except UnusableError as error:
                    await visitor.send("refused", error=str(error))
            case "mount":
                await self._mount(visitor, message)
            case word:
                raise ValueError(f"{word!r} is no word")

    # Consumers

    async def _join(self, visitor: ControlSession, message: Message) -> None:
        engine, blocks = self.engine, self.engine.ring.rules.blocks
        turn, start, verify = message["turn"], message["preferred_start"], bool(message["digests"])
        if verify:
            await engine.digests.ready()
        await engine.begin_at_head()
        with engine.lend(
            pid=visitor.pid,
            command=proc.read(visitor.pid, "comm").rstrip("\n"),
            target=str(message["target"]),
            turn=None if turn is None else _turn(turn, blocks),
            preferred_start=None if start is None else _block(start, blocks),
            verify=verify,
        ) as lender:
            await visitor.send(
                "welcome",
                fds=(engine.ring.memory.fd, lender.sheet.fd, lender.filled_fd, lender.freed_fd),
                id=lender.id,
                **self._image(),
                slots=engine.ring.rules.slots,
                tickets=lender.tickets,
                start=lender.turn.start,
                term=lender.sheet.term,
            )
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(lender.run)
                    await self._listen(visitor, lender)
                    nursery.cancel_scope.cancel()
            except* ClosingError as closing:
                raise _HangUpError from closing
            except* FanoutError as group:
                error = _first(group)
                log.warning("the copy to %s ends: %s", lender.target, error)
                await visitor.send("failed", error=str(error))

    def _image(self) -> dict[str, Any]:
        """Give what a consumer has to know of the image: ``borrower.Image``."""
        ring = self.engine.ring
        source = self.engine.source
        return {
            "identity": source.identity,
            "origin": source.origin,
            "size": ring.size,
            "block": ring.block,
        }

    async def _listen(self, visitor: ControlSession, lender: Lender) -> None:
        """Hear a consumer until it hangs up."""
        while (message := await visitor.receive()) is not None:
            if message["word"] != "resume":
                raise ValueError(f"{message['word']!r} is no word of a consumer")
            lender.resume(_block(message["block"], 2 * self.engine.ring.rules.blocks))
            await visitor.send("resumed", term=lender.sheet.term)

    # Mounts

    async def _mount(self, visitor: ControlSession, message: Message) -> None:
        """Mount for the command that asks; its connection lasts as long as the mount."""
        settings = MountSettings(allow_other=bool(message["allow_other"]), options=tuple(message["options"]))

        async def ready() -> None:
            await visitor.send("mounted")
            said = (await visitor.receive() or {"answers": "its command has ended"})["answers"]
            if said:
                raise UnusableError(f"{message['point']} does not answer: {said}")
            log.info("%s is mounted on %s", self.engine.source.path, message["point"])

        try:
            await self.engine.mount(Path(message["point"]), settings, ready)
        except (UnusableError, UsageError) as error:
            log.info("a mount was refused: %s", error)
            await visitor.send("refused", error=str(error))
        else:
            await visitor.send("unmounted")


def _block(value: object, end: int) -> int:
    if not isinstance(value, int) or not 0 <= value < end:
        raise ValueError(f"{value!r} is no block")
    return value


def _turn(value: Any, blocks: int) -> Turn:
    start, following = value
    start = _block(start, blocks)
    return Turn(start, _block(following, start + blocks + 1))


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """Give an error of a group, whatever it is nested in."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
