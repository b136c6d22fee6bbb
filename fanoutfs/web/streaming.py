"""Shared by the answers that have no end."""

import trio
from starlette.responses import PlainTextResponse
from starlette.types import Receive


def try_again_later() -> PlainTextResponse:
    """Return the answer to one client too many. It closes the connection, for another client."""
    headers = {"retry-after": "5", "connection": "close"}
    return PlainTextResponse("too many clients; try again later\n", 503, headers)


async def wait_for_disconnect(receive: Receive, sending: trio.CancelScope) -> None:
    """Wait until the client disconnects, then cancel what is sent to it."""
    while (await receive())["type"] != "http.disconnect":
        pass
    sending.cancel()
