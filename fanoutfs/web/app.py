"""The paths of the monitor service, as an ASGI application; ``access.py`` decides which requests pass."""

import time
from collections.abc import Callable
from urllib.parse import parse_qs

import attrs
import trio
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from fanoutfs.web import metrics
from fanoutfs.web.access import Access
from fanoutfs.web.digest_stream import DigestStream
from fanoutfs.web.events import Events
from fanoutfs.web.feed import Feed, Snapshot
from fanoutfs.web.page import HEADERS, Page, StaticFile

LONGEST_FORM = 4096
FORM_SECONDS = 5.0

NEEDS_TOKEN = {"www-authenticate": 'Bearer realm="fanoutfs"'}


@attrs.define(eq=False)
class WebApp:
    """The monitor service of one producer."""

    access: Access
    feed: Feed
    digests: DigestStream
    page: Page = attrs.field(factory=Page.read)
    clock: Callable[[], float] = time.time
    """Unix seconds, for the expiry of logins."""
    _written: tuple[Snapshot, bytes] | None = attrs.field(default=None, init=False)
    """The last snapshot, as text for Prometheus; more frequent requests get the same."""

    def app(self) -> ASGIApp:
        """Return the application with its guard."""
        routes = [
            Route("/", self._home),
            Route("/status", self._status),
            Route("/events", Events(self.feed), methods=["GET"]),
            Route("/digests", self.digests, methods=["GET"]),
            Route("/metrics", self._metrics),
            Route("/login", self._login, methods=["POST"]),
            *(Route(f"/{name}", _serve(file)) for name, file in self.page.files.items()),
        ]
        # No Starlette around it: its error pages reveal more than an unknown client should see.
        return Guard(self, Router(routes, redirect_slashes=False))

    def admits(self, request: Request) -> bool:
        """Return whether a request may see the status."""
        authorization = request.headers.get("authorization", "")
        cookie = request.cookies.get(self.access.cookie_name, "")
        return self.access.admits(authorization, cookie, self.clock())

    async def _home(self, request: Request) -> Response:
        if not self.admits(request):
            return HTMLResponse(self.page.login, 401, NEEDS_TOKEN)
        return HTMLResponse(self.page.monitor)

    async def _status(self, _request: Request) -> Response:
        return Response(self.feed.now().text + b"\n", media_type="application/json")

    async def _metrics(self, _request: Request) -> Response:
        snapshot = self.feed.now()
        if self._written is None or self._written[0] is not snapshot:
            self._written = snapshot, metrics.exposition(snapshot.document)
        return Response(self._written[1], headers={"content-type": metrics.CONTENT_TYPE})

    async def _login(self, request: Request) -> Response:
        token = await _form_field(request, "token")
        if token is None:
            return PlainTextResponse("not a login form\n", 400, {"connection": "close"})
        if not self.access.is_token(token.strip()):
            return HTMLResponse(self.page.login_with(b"That is not the token."), 401, NEEDS_TOKEN)
        return RedirectResponse("/", 303, {"set-cookie": self.access.cookie(self.clock())})


@attrs.frozen
class Guard:
    """Wraps the paths: admits requests by host name and token, and adds headers to each answer."""

    service: WebApp
    inner: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
            return
        assert scope["type"] == "http"

        async def seal(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        request = Request(scope)
        refusal = self._refusal(request)
        await (self.inner if refusal is None else refusal)(scope, receive, seal)

    def _refusal(self, request: Request) -> Response | None:
        service, path = self.service, request.scope["path"]
        server = request.scope.get("server") or ("", 0)
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not service.access.is_called(hosts[0], server[0]):
            return PlainTextResponse(
                "this host name is not served here; use the one given to --listen\n", 421
            )
        public = path in ("/", "/login") or path.removeprefix("/") in service.page.files
        if not public and not service.admits(request):
            return PlainTextResponse("the token is missing or wrong\n", 401, NEEDS_TOKEN)
        return None


def _serve(file: StaticFile) -> Callable[[Request], object]:
    async def serve(_request: Request) -> Response:
        return Response(file.content, media_type=file.media_type)

    return serve


async def _form_field(request: Request, name: str) -> str | None:
    """Return a field of a short form, within FORM_SECONDS; None if this is not one, or lacks the field."""
    body, more = b"", True
    with trio.move_on_after(FORM_SECONDS) as reading:
        while more:
            message = await request.receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if message["type"] == "http.disconnect" or len(body) > LONGEST_FORM:
                return None
    if reading.cancelled_caught:
        return None
    try:
        return parse_qs(body.decode("ascii"), max_num_fields=4).get(name, [""])[0]
    except ValueError:
        return None
