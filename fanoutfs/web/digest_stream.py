"""The answer to /digests: the digest of each block, once it is known, for copies that verify on other hosts.

The first line is ``image SIZE BLOCK_SIZE IDENTITY``: what the digests are of. Each further line is ``BLOCK
HEX``, the first DIGEST_SIZE bytes of the SHA-256 of that block's content (the last block may be short), or
``BLOCK -`` for a block that could not be read; the last line for a block counts. The lines ``zero BLOCK
COUNT``, directly behind the first one, name blocks that are zeros, and have no other line: they are not read.
An empty line shows that the connection is alive.

A follower that has received the first line will get a line for every block that it reads from here
afterwards, in whatever way it reads.
"""

import attrs
import trio
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from fanoutfs.digests.digest_table import BEGIN, MOST_BLOCKS, DigestTable
from fanoutfs.digests.recorder import Recorder
from fanoutfs.web.streaming import try_again_later, wait_for_disconnect

MOST_FOLLOWERS = 32
"""Further followers are told to try again later."""

MOST_LINES = 1000
"""Lines sent in one piece: it takes the engine's thread from its readers for a millisecond at most."""

SENDS_PER_SECOND = 50
"""Most pieces sent in a second, to all followers together."""

ALIVE_SECONDS = 3.0
"""After this time without news, an empty line is sent."""

CONTENT_TYPE = b"text/plain; charset=us-ascii"


@attrs.define(eq=False)
class DigestStream:
    """One stream for each follower; an ASGI application."""

    recorder: Recorder
    identity: str
    """Of the source."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client disconnects; cancelled with its connection."""
        if self.recorder.ring.layout.image_blocks > MOST_BLOCKS:
            message = "the image has too many blocks for this; mount it with a larger --block\n"
            await PlainTextResponse(message, 501)(scope, receive, send)
        elif self.recorder.followers >= MOST_FOLLOWERS:
            await try_again_later()(scope, receive, send)
        elif scope["method"] == "HEAD":
            await send(
                {"type": "http.response.start", "status": 200, "headers": [(b"content-type", CONTENT_TYPE)]}
            )
            await send({"type": "http.response.body", "body": b""})
        else:
            # Before the first checkpoint: many clients may connect at one instant.
            with self.recorder.follow() as table:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(wait_for_disconnect, receive, nursery.cancel_scope)
                    await self._send(table, send)

    async def _send(self, table: DigestTable, send: Send) -> None:
        headers = [(b"content-type", CONTENT_TYPE), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        layout, place = self.recorder.ring.layout, BEGIN
        text = b"image %d %d %s\n" % (layout.size, layout.block, self.identity.encode())
        text += b"".join(b"zero %d %d\n" % gap for gap in layout.gaps())
        while True:
            await send({"type": "http.response.body", "body": text, "more_body": True})
            await trio.sleep(self.recorder.followers / SENDS_PER_SECOND)
            text, place = table.lines(place, MOST_LINES)
            if not text:
                with trio.move_on_after(ALIVE_SECONDS):
                    await self.recorder.news()
                text, place = table.lines(place, MOST_LINES)
            text = text or b"\n"
