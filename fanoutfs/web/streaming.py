"""What the endless answers have in common."""

import trio
from starlette.responses import PlainTextResponse
from starlette.types import Receive


def come_again() -> PlainTextResponse:
    """Return the answer to a client too many. It closes the connection, which another client may need."""
    headers = {"retry-after": "5", "connection": "close"}
    return PlainTextResponse("too many clients; try again later\n", 503, headers)


async def wait_for_disconnect(receive: Receive, sending: trio.CancelScope) -> None:
    """Wait until the client disconnects, then cancel what is sent to it."""
    while (await receive())["type"] != "http.disconnect":
        pass
    sending.cancel()
