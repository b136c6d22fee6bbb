"""The answer to /events: the status document as server-sent events (HTML standard, section 9.2)."""

import attrs
import trio
from starlette.types import Receive, Scope, Send

from fanoutfs.web.feed import Feed
from fanoutfs.web.streaming import try_again_later, wait_for_disconnect

MOST_CLIENTS = 100
"""Further clients are told to try again later."""

RETRY = b"retry: 2000\n\n"
"""Milliseconds after which a browser whose connection broke tries again."""


@attrs.define(eq=False)
class Events:
    """One client's stream; an ASGI application."""

    feed: Feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client disconnects; cancelled with its connection."""
        if self.feed.clients >= MOST_CLIENTS:
            await try_again_later()(scope, receive, send)
            return
        # Counted before the first checkpoint: many clients may connect at one instant.
        self.feed.clients += 1
        try:
            await self._send(scope, receive, send)
        finally:
            self.feed.clients -= 1

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_for_disconnect, receive, nursery.cancel_scope)
            snapshot = self.feed.now()
            await send({"type": "http.response.body", "body": RETRY + snapshot.event, "more_body": True})
            while True:
                snapshot = await self.feed.next()
                await send({"type": "http.response.body", "body": snapshot.event, "more_body": True})
