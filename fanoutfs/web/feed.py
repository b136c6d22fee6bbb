"""One snapshot for everybody who looks: rendered once, however many there are, and not too often."""

import json
import time
from collections.abc import Callable

import attrs
import trio

from fanoutfs.status.document import StatusDocument, as_plain

PER_SECOND = 5
"""Most snapshots in a second."""

SENDS_PER_SECOND = 50
"""Most events that are sent in a second, to all clients together: each takes the engine's thread from its
readers for some tenths of a millisecond."""

SHARE = 0.02
"""Of the engine's time that snapshots may take."""

QUIET_SECONDS = 1.0
"""Where nothing changes, what is known is said again after so long: a client that hears nothing for a while
knows that the connection is broken."""

SLACK = 0.001
"""Seconds; who has slept for a pause must not find that it is over but for a rounding."""


def pause(clients: int, seconds: float) -> float:
    """Give the seconds from one snapshot to the next, for so many clients, when the last took ``seconds``."""
    return max(1 / PER_SECOND, clients / SENDS_PER_SECOND, seconds / SHARE)


@attrs.frozen
class Snapshot:
    """The status document at one time."""

    document: StatusDocument
    text: bytes
    """It as JSON, in one line."""

    @property
    def event(self) -> bytes:
        """It as a server-sent event."""
        return b"data: " + self.text + b"\n\n"


@attrs.define(eq=False)
class Feed:
    """Looks at the status for all clients of the service."""

    look: Callable[[], StatusDocument]
    clock: Callable[[], float] = trio.current_time
    stopwatch: Callable[[], float] = time.perf_counter
    clients: int = attrs.field(default=0, init=False)
    _latest: Snapshot | None = attrs.field(default=None, init=False)
    _looked_at: float = attrs.field(default=0.0, init=False)
    _took: float = attrs.field(default=0.0, init=False)
    _came: trio.Event = attrs.field(factory=trio.Event, init=False)
    _next: trio.Event = attrs.field(factory=trio.Event, init=False)

    def now(self) -> Snapshot:
        """Give a snapshot that is not older than one of the feed may be."""
        age = self.clock() - self._looked_at
        if self._latest is None or age > pause(self.clients, self._took) - SLACK:
            began = self.stopwatch()
            document = self.look()
            text = json.dumps(as_plain(document), separators=(",", ":")).encode()
            self._took = self.stopwatch() - began
            self._looked_at = self.clock()
            if self._latest is None or self._latest.text != text:
                self._latest = Snapshot(document, text)
        return self._latest

    async def next(self) -> Snapshot:
        """Wait for the next one, which a slow client has not missed more than once: it gets the latest."""
        self._came.set()
        await self._next.wait()
        assert self._latest is not None
        return self._latest

    async def run(self) -> None:
        """Look for those who wait, until it is cancelled; with nobody there it rests."""
        said: Snapshot | None = None
        said_at = 0.0
        while True:
            await self._came.wait()
            snapshot, now = self.now(), self.clock()
            if snapshot is not said or now - said_at > QUIET_SECONDS - SLACK:
                said, said_at = snapshot, now
                self._came = trio.Event()
                waiting, self._next = self._next, trio.Event()
                waiting.set()
            await trio.sleep(pause(self.clients, self._took))
