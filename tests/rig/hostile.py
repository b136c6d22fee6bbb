"""Hostile clients of a control socket: each session does at random what a broken or wicked program could do.

A session takes as long as its calls take: nothing in it sleeps, and whatever it opened is closed at its end.
The seed of its random numbers decides what it does.
"""

import array
import contextlib
import json
import mmap
import os
import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from fanoutfs.control.client import ControlConnection
from fanoutfs.control.messages import HungUpError
from fanoutfs.errors import FanoutError
from fanoutfs.units import PAGE
from tests.limits import HANG_SECONDS

LONGEST = 65536
MOST_JOINED = 12
"""Connections that one session opens beside its own."""


@attrs.define(eq=False)
class HostileSession:
    """One connection, and what it was handed."""

    path: Path
    chance: random.Random
    breaches: list[str] = attrs.field(factory=list)
    """What it could do and must not be able to."""
    _connection: ControlConnection = attrs.field(init=False)
    _blocks: int = attrs.field(default=0, init=False)
    _fds: list[int] = attrs.field(factory=list, init=False)
    _flooded: bool = attrs.field(default=False, init=False)
    _others: list[ControlConnection] = attrs.field(factory=list, init=False)

    def run(self) -> str | None:
        """Connect, do some of it, and close at any moment; return why it was refused, if it was."""
        try:
            self._connection = ControlConnection.to(self.path)
            self._connection.socket.settimeout(HANG_SECONDS)
            if self.chance.random() < 0.75:
                self._join()
            ways = AS_CONSUMER if self._fds else AS_CLIENT
            for _ in range(self.chance.randint(0, 6)):
                self.chance.choice(ways)(self)
        except HungUpError:
            return None
        except FanoutError as refused:
            return str(refused)
        except OSError:
            # It was cut off while it sent, or there is nothing left to close.
            return None
        finally:
            self._close()
        return None

    def _close(self) -> None:
        ends = [*self._fds, *self._connection.take_descriptors()]
        self.chance.shuffle(ends)
        if self.chance.random() < 0.5:
            self._connection.close()
        for end in ends:
            with contextlib.suppress(OSError):
                os.close(end)
        self._connection.close()
        for other in self._others:
            for end in other.take_descriptors():
                os.close(end)
            other.close()

    # As a client

    def _join(self) -> None:
        chance = self.chance
        start = chance.choice([None, None, 0, 1, chance.randint(0, 50)])
        turn = None if chance.random() < 0.8 else [chance.randint(0, 9), chance.randint(9, 60)]
        target = chance.choice(["/dev/x", "", "\n\x1b[2J", "\ud800", "x" * 4096, "x" * 60000, 17, None])
        digests = chance.choice([False, False, True, "yes"])
        answer = self._connection.request(
            "join", HANG_SECONDS, target=target, digests=digests, preferred_start=start, turn=turn
        )
        self._blocks = -(-answer["size"] // answer["block"])
        self._fds = self._connection.take_descriptors()

    def _send(self, text: bytes) -> None:
        self._connection.socket.sendall(text)

    def _bytes(self) -> None:
        """Send no message at all."""
        self._send(self.chance.randbytes(self.chance.choice([1, 100, LONGEST, 3 * LONGEST])))

    def _half(self) -> None:
        """Send the beginning of a message."""
        self._send(b'{"type": "status"}'[: self.chance.randint(1, 18)])

    def _long(self) -> None:
        """Send a line of the most bytes, or some more."""
        filler = b"x" * (LONGEST + self.chance.choice([-40, -25, 0, 1]))
        self._send(b'{"type": "ping", "x": "' + filler + b'"}\n')

    def _nested(self) -> None:
        self._send(self.chance.choice([b"[", b'{"type":']) * self.chance.choice([10, 7000]) + b"\n")

    def _flood(self) -> None:
        """Send as many messages as the socket takes, and read no answer."""
        kind = self.chance.choice(["ping", "status", "stay", "join", "resume", "fly"])
        text = _line(kind, block=1, target="", digests=False, preferred_start=None, turn=None) * 200
        self._flooded = True
        self._connection.socket.setblocking(False)  # noqa: FBT003 (of socket)
        with contextlib.suppress(BlockingIOError):
            for _ in range(self.chance.choice([1, 30])):
                self._connection.socket.send(text)

    def _wrong(self) -> None:
        """Send a message with values that are none."""
        values: list[object] = [-1, 0, 1.5, 10**30, "x", None, [], {}, [1], [1, 2, 3], True]
        kinds: list[object] = [
            "join",
            "resume",
            "mount",
            "stay",
            "status",
            "ping",
            "failed",
            "",
            None,
            17,
            [],
        ]
        names = ("block", "target", "digests", "preferred_start", "turn", "point", "allow_other", "options")
        value = self.chance.choice(values)
        self._send(_line(self.chance.choice(kinds), **dict.fromkeys(names, value)))

    def _mount_nowhere(self) -> None:
        point = self.chance.choice(["/nowhere/at/all", "relative", "/proc/1\0", ""])
        self._send(
            _line("mount", point=point, allow_other=False, options=[self.chance.choice(["suid", "ro"])])
        )

    def _hand_descriptors(self) -> None:
        """Send descriptors with a message, to exhaust those of the producer."""
        empty, full = os.pipe()
        try:
            fds = array.array("i", [empty, full] * 100).tobytes()
            self._connection.socket.sendmsg([_line("ping")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        finally:
            os.close(empty)
            os.close(full)

    def _join_again_and_again(self) -> None:
        """Join over many connections at once, and do nothing with them."""
        for _ in range(self.chance.randint(1, MOST_JOINED)):
            other = ControlConnection.to(self.path)
            self._others.append(other)
            other.request(
                "join", HANG_SECONDS, target="/dev/y", digests=False, preferred_start=None, turn=None
            )

    def _half_close(self) -> None:
        self._connection.socket.shutdown(
            self.chance.choice([socket.SHUT_WR, socket.SHUT_RD, socket.SHUT_RDWR])
        )

    def _ask(self) -> None:
        """Ask as one should, unless the answer would come after those of a flood."""
        if self._flooded:
            return
        self._connection.request("ping" if self._fds else "status", HANG_SECONDS)

    # As a consumer

    def _free(self) -> None:
        """Report blocks as copied, whatever was granted."""
        os.set_blocking(self._fds[3], False)
        with contextlib.suppress(BlockingIOError):
            os.write(self._fds[3], bytes(self.chance.choice([0, 1, 1, 2, 9, 70000])))

    def _fill(self) -> None:
        """Fill the count of granted blocks, so that the producer can post none."""
        end = os.open(f"/proc/self/fd/{self._fds[2]}", os.O_WRONLY | os.O_NONBLOCK)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(end, self.chance.randbytes(PAGE))
        os.close(end)

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.set_blocking(self._fds[2], False)
            os.read(self._fds[2], LONGEST)

    def _block_ends(self) -> None:
        for end in self._fds:
            os.set_blocking(end, True)

    def _close_one(self) -> None:
        """Close an end, and leave the connection open."""
        empty, full = os.pipe()
        os.dup2(empty, self.chance.choice(self._fds))
        os.close(empty)
        os.close(full)

    def _write_memory(self) -> None:
        """Try to change what others copy, in each way that a descriptor allows."""
        fd = self.chance.choice(self._fds[:2])
        for name, way in {"mapped writable": _map_writable, "written": _write, "cut": _cut}.items():
            with contextlib.suppress(OSError):
                way(fd)
                self.breaches.append(name)

    def _resume(self) -> None:
        self._send(_line("resume", block=self.chance.randint(0, 2 * self._blocks)))


Way = Callable[[HostileSession], None]

AS_CLIENT: tuple[Way, ...] = (
    HostileSession._bytes,
    HostileSession._half,
    HostileSession._long,
    HostileSession._nested,
    HostileSession._flood,
    HostileSession._wrong,
    HostileSession._mount_nowhere,
    HostileSession._hand_descriptors,
    HostileSession._join_again_and_again,
    HostileSession._half_close,
    HostileSession._ask,
)

AS_CONSUMER: tuple[Way, ...] = (
    *AS_CLIENT,
    HostileSession._free,
    HostileSession._free,
    HostileSession._fill,
    HostileSession._drain,
    HostileSession._block_ends,
    HostileSession._close_one,
    HostileSession._write_memory,
    HostileSession._resume,
)


def sessions(path: Path, seed: int, count: int) -> Iterator[HostileSession]:
    """Run that many sessions, one after the other, and yield each when it is over."""
    for number in range(count):
        session = HostileSession(path, random.Random(f"{seed} {number}"))
        session.run()
        yield session


def _line(kind: object, **rest: Any) -> bytes:
    return json.dumps({"type": kind, **rest}).encode() + b"\n"


def _map_writable(fd: int) -> None:
    mmap.mmap(fd, PAGE, prot=mmap.PROT_READ | mmap.PROT_WRITE).close()


def _write(fd: int) -> None:
    os.pwrite(fd, b"hostile", 0)


def _cut(fd: int) -> None:
    os.ftruncate(fd, 0)
