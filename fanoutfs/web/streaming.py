"""What the answers without an end have in common."""

import trio
from starlette.responses import PlainTextResponse
from starlette.types import Receive


def come_again() -> PlainTextResponse:
    """Give the answer to one too many: who is hung up on keeps no connection from others."""
    headers = {"retry-after": "5", "connection": "close"}
    return PlainTextResponse("so many look already; come again\n", 503, headers)


async def hear(receive: Receive, sending: trio.CancelScope) -> None:
    """Wait for the client's end, and end what is sent to it."""
    while (await receive())["type"] != "http.disconnect":
        pass
    sending.cancel()
