"""One snapshot of the status for all clients: rendered once for all of them, and not too often."""

import json
import time
from collections.abc import Callable

import attrs
import trio

from fanoutfs.status.document import StatusDocument, as_plain
from fanoutfs.status.rates import MEMORY, Rates
from fanoutfs.web.page_content import page_content

PER_SECOND = 5
"""Most snapshots in a second."""

SENDS_PER_SECOND = 50
"""Most events sent in a second, to all clients together: each takes the engine's thread from its
readers for some tenths of a millisecond."""

SHARE = 0.02
"""The share of the engine's time that snapshots may take."""

QUIET_SECONDS = 1.0
"""When nothing changes, a snapshot is sent after this time: its rates are lower, and a client that receives
nothing for a while knows that the connection is broken."""

SLACK = 0.001
"""Seconds by which a pause may seem too short after a sleep, because of rounding."""


def pause(clients: int, seconds: float) -> float:
    """Return the seconds from one snapshot to the next; the last one took ``seconds``."""
    return max(1 / PER_SECOND, clients / SENDS_PER_SECOND, seconds / SHARE)


@attrs.frozen
class Snapshot:
    """The status document at one time."""

    document: StatusDocument
    text: bytes
    """The document as JSON, in one line."""
    event: bytes
    """The document and the content of the page, as a server-sent event."""


@attrs.define(eq=False)
class Feed:
    """Takes snapshots of the status for all clients."""

    look: Callable[[], StatusDocument]
    clock: Callable[[], float] = trio.current_time
    stopwatch: Callable[[], float] = time.perf_counter
    clients: int = attrs.field(default=0, init=False)
    _latest: Snapshot | None = attrs.field(default=None, init=False)
    _looked_at: float = attrs.field(default=0.0, init=False)
    _made_at: float = attrs.field(default=0.0, init=False)
    _took: float = attrs.field(default=0.0, init=False)
    _rates: Rates = attrs.field(factory=Rates, init=False)
    _came: trio.Event = attrs.field(factory=trio.Event, init=False)
    _next: trio.Event = attrs.field(factory=trio.Event, init=False)

    def now(self) -> Snapshot:
        """Return a snapshot; it is no older than a ``pause``."""
        now, least = self.clock(), pause(self.clients, self._took)
        age = now - self._looked_at
        if self._latest is None or age > least - SLACK:
            began = self.stopwatch()
            if age > least + MEMORY:
                # Nobody has looked since: an average over all that time is not the current rate.
                self._rates = Rates()
            document = self.look()
            text = _json(as_plain(document))
            recent = now - self._made_at <= QUIET_SECONDS - SLACK
            if self._latest is None or self._latest.text != text or not recent:
                page = _json(page_content(document, self._rates.update(document, now)))
                event = b'data: %b,"page":%b}\n\n' % (text.removesuffix(b"}"), page)
                self._latest, self._made_at = Snapshot(document, text, event), now
            self._took = self.stopwatch() - began
            self._looked_at = now
        return self._latest

    async def next(self) -> Snapshot:
        """Wait for the next snapshot. A slow client gets the latest, and skips those between."""
        self._came.set()
        await self._next.wait()
        assert self._latest is not None
        return self._latest

    async def run(self) -> None:
        """Take snapshots while clients wait, until cancelled."""
        sent: Snapshot | None = None
        while True:
            await self._came.wait()
            snapshot = self.now()
            if snapshot is not sent:
                sent = snapshot
                self._came = trio.Event()
                waiting, self._next = self._next, trio.Event()
                waiting.set()
            await trio.sleep(pause(self.clients, self._took))


def _json(plain: object) -> bytes:
    return json.dumps(plain, separators=(",", ":")).encode()
