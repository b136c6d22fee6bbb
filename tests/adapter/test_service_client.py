"""Asking a service as another computer does: a real one on the loopback, and one that answers anything."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import trio

from fanoutfs.digests.digest import digest
from fanoutfs.errors import NoAnswerError, NotAServiceError, UnusableError, UsageError
from fanoutfs.remote import remote_digests
from fanoutfs.remote import service_client as service_module
from fanoutfs.remote.address import ServiceAddress
from fanoutfs.remote.remote_digests import RemoteDigests
from fanoutfs.remote.service_client import ServiceClient
from fanoutfs.status.document import StatusDocument, as_plain
from fanoutfs.units import PAGE
from tests.adapter.conftest import Certificate
from tests.adapter.service import SHOWN, TOKEN, secret_file, serving, until
from tests.documents import document, reader
from tests.limits import HANG_SECONDS
from tests.ports import free_port
from tests.rig.hanging import LIMIT
from tests.tasks.rig import background, make_rig, read_all

SHOWABLE = document(reader(1), mountpoint="/mnt")


def at(port: int, scheme: str = "http", host: str = "127.0.0.1") -> ServiceAddress:
    return ServiceAddress(scheme, host, port)


async def ask(asked: ServiceClient) -> StatusDocument:
    return await trio.to_thread.run_sync(asked.status)


# A real one


async def test_it_gives_the_document() -> None:
    """The same that the mount shows."""
    async with serving() as served:
        assert SHOWN == await ask(ServiceClient.of(at(served.port)))


async def test_nothing_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No proxy, and no certificates: a token goes where the user says."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    async with serving() as served:
        assert SHOWN == await ask(ServiceClient.of(at(served.port)))


async def test_with_the_token_it_answers(tmp_path: Path) -> None:
    """Without a token, or with a wrong one, the message names the file to give."""
    right, wrong = secret_file(tmp_path), secret_file(tmp_path, TOKEN + "x")
    async with serving(token_file=right) as served:
        assert SHOWN == await ask(ServiceClient.of(at(served.port), right))
        with pytest.raises(UnusableError, match=f"does not accept the token in {wrong}"):
            await ask(ServiceClient.of(at(served.port), wrong))
        with pytest.raises(UnusableError, match=r"requires a token; .*--token-file"):
            await ask(ServiceClient.of(at(served.port)))


async def test_over_tls_it_has_to_prove_who_it_is(certificate: Certificate) -> None:
    """By a certificate for the name in the address, signed by a trusted CA."""
    cert = certificate["tls_cert"]
    async with serving(**certificate) as served:
        assert SHOWN == await ask(ServiceClient.of(at(served.port, "https", "localhost"), tls_ca=cert))
        with pytest.raises(UnusableError, match=r"can't be trusted: self.signed certificate; .*--tls-ca"):
            await ask(ServiceClient.of(at(served.port, "https", "localhost")))
        with pytest.raises(UnusableError, match=r"is another computer's: .*127\.0\.0\.1"):
            await ask(ServiceClient.of(at(served.port, "https"), tls_ca=cert))
        with pytest.raises(NoAnswerError, match="does it require https"):
            await ask(ServiceClient.of(at(served.port)))


async def test_tls_where_there_is_none() -> None:
    """The message says so."""
    async with serving() as served:
        with pytest.raises(UnusableError, match=r"can't be reached over TLS: .* does it use http://"):
            await ask(ServiceClient.of(at(served.port, "https")))


@pytest.mark.parametrize(
    "content", [b"", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", None]
)
def test_a_ca_that_is_none(content: bytes | None, tmp_path: Path) -> None:
    """It is refused before anything is asked."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnusableError, match=f"certificate {path} can't be used"):
        ServiceClient.of(at(1, "https"), tls_ca=path)


def test_nobody_is_there() -> None:
    """A port that nobody listens on, a name that nobody has."""
    with pytest.raises(NoAnswerError, match=r"no service listens at http://127\.0\.0\.1:"):
        ServiceClient.of(at(free_port())).status()
    with pytest.raises(NoAnswerError, match=r"the host name nowhere\.invalid can't be resolved"):
        ServiceClient.of(at(80, host="nowhere.invalid")).status()


@pytest.fixture
def says() -> Iterator[Callable[..., int]]:
    """Listen on a port and send this to a client; if it ``ends``, send no more after that."""
    sockets: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def listen(said: bytes, *, ends: bool = True) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def answer() -> None:
            connected, _ = listener.accept()
            sockets.append(connected)
            connected.recv(10000)
            connected.sendall(said)
            if ends:
                connected.shutdown(socket.SHUT_WR)

        threads.append(threading.Thread(target=answer))
        threads[-1].start()
        return int(listener.getsockname()[1])

    yield listen
    for thread in threads:
        thread.join(HANG_SECONDS)
    for one in sockets:
        one.close()


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"]
)
def test_one_that_speaks_no_http(said: bytes, says: Callable[..., int]) -> None:
    """Or breaks off in the middle."""
    with pytest.raises(NoAnswerError, match="closed the connection"):
        ServiceClient.of(at(says(said))).status()


@pytest.mark.parametrize(
    ("scheme", "said"),
    [("http", b""), ("https", b""), ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{")],
)
def test_one_that_is_stopped(
    scheme: str, said: bytes, says: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it answers, or in the middle: the kernel goes on accepting connections for it."""
    monkeypatch.setattr(service_module, "TIMEOUT", httpx.Timeout(LIMIT))
    with pytest.raises(NoAnswerError, match=r"accepts the connection, but does not answer; .*stopped"):
        ServiceClient.of(at(says(said, ends=False), scheme)).status()


def test_one_that_is_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its packets are lost, as those to a socket whose queue is full."""
    monkeypatch.setattr(service_module, "TIMEOUT", httpx.Timeout(LIMIT))
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1))
        for _ in range(3):
            client = stack.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex(full.getsockname())
        with pytest.raises(NoAnswerError, match=r"does not answer; check the address, .* firewall"):
            ServiceClient.of(at(full.getsockname()[1])).status()


async def test_digests_stop(
    says: Callable[..., int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The stream is given up after the limit for its signs of life, and the log says why."""
    monkeypatch.setattr(remote_digests, "SILENT_SECONDS", LIMIT)
    port = says(b"HTTP/1.1 200 OK\r\n\r\nimage 9500 1000 disk-8:16\n", ends=False)
    digests = RemoteDigests(service=ServiceClient.of(at(port)), identity="disk-8:16", size=9500, block=1000)
    async with background(digests.run):
        await digests.ready()
        await until(lambda: caplog.messages != [])
    assert caplog.messages[0].startswith(
        f"no digests at the moment, trying again: http://127.0.0.1:{port} accepts the connection, but does "
        "not answer"
    )


async def test_digests_come_over_the_network(certificate: Certificate, tmp_path: Path) -> None:
    """With token and TLS, of all blocks that come while it is asked."""
    cert = certificate["tls_cert"]
    token = secret_file(tmp_path)
    rig = make_rig(20 * PAGE + 5, 4, seconds=0.0)
    async with serving(rig=rig, token_file=token, **certificate) as served:
        asked = ServiceClient.of(at(served.port, "https", "localhost"), token, cert)
        digests = RemoteDigests(service=asked, identity="disk-8:16", size=len(rig.content), block=PAGE)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rig.produce)
            nursery.start_soon(digests.run)
            await digests.ready()
            await read_all(rig.open(), PAGE)
            found = await digests.of(range(21), [0] * 21, [PAGE] * 21)
            nursery.cancel_scope.cancel()

    view = memoryview(rig.content)
    assert [digest(view[place : place + PAGE]) for place in range(0, len(view), PAGE)] == found


@pytest.mark.parametrize("host", ["a" * 64, "xn--zzzzzz", "999.1.1.1"])
def test_a_host_that_can_not_be(host: str) -> None:
    """It is wrong usage, and nobody is asked."""
    with pytest.raises(UsageError, match="has an invalid host name"):
        ServiceClient.of(at(80, host=host))


# One that answers anything


@attrs.define(eq=False)
class Answering(ServiceClient):
    """A service whose answers are given by the test."""

    answer: httpx.Response | Exception = attrs.field(kw_only=True)
    asked: list[str] = attrs.field(factory=list)

    def settings(self) -> dict[str, Any]:
        def handle(request: httpx.Request) -> httpx.Response:
            self.asked.append(str(request.url))
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        return {**super().settings(), "transport": httpx.MockTransport(handle)}


def answering(answer: httpx.Response | Exception, **changes: Any) -> Answering:
    return Answering(ServiceAddress("https", "node1", 8400, "/disk"), answer=answer, **changes)


def whole(content: bytes) -> httpx.Response:
    """Return an answer whose content has not been read yet, as one from a network."""
    return httpx.Response(200, content=iter([content]))


def test_it_is_asked_below_its_path() -> None:
    """Where a proxy stands before it."""
    asked = answering(whole(json.dumps(as_plain(SHOWABLE)).encode()))

    assert SHOWABLE == asked.status()
    assert ["https://node1:8400/disk/status"] == asked.asked


@pytest.mark.parametrize(
    ("code", "error", "said"),
    [
        (
            301,
            NotAServiceError,
            "https://node1:8400/disk redirects to 'https://elsewhere/'; if you trust that, use its address",
        ),
        (401, UnusableError, "--token-file"),
        (403, NotAServiceError, "HTTP 403"),
        (404, NotAServiceError, "not a fanoutfs service; use the address of a mount's --listen"),
        (421, UnusableError, "does not answer to the name node1; use .* --listen names"),
        (429, NoAnswerError, "not available at the moment"),
        (500, NotAServiceError, "HTTP 500"),
        (501, UnusableError, "larger --block"),
        (502, NoAnswerError, "not available at the moment"),
        (503, NoAnswerError, "not available at the moment"),
    ],
)
def test_other_answers_are_explained(code: int, error: type[UnusableError], said: str) -> None:
    """In one line; a busy service may recover. Redirects are not followed."""
    asked = answering(httpx.Response(code, headers={"location": "https://elsewhere/"}))
    with pytest.raises(error, match=said) as raised:
        asked.status()

    assert (raised.type, 1) == (error, len(asked.asked))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content", [b"<html>", b"{}", b"[]", json.dumps({**as_plain(SHOWABLE), "head": "x"}).encode()]
)
def test_another_document_is_no_status(content: bytes) -> None:
    """Not JSON, or without our keys."""
    with pytest.raises(UnusableError, match="sends no status document, so it is not a fanoutfs service"):
        answering(whole(content)).status()


def test_an_answer_without_an_end_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is too long, or takes too long."""
    endless = (b" " * 1000 for _ in iter(int, 1))
    with pytest.raises(UnusableError, match="sends more than"):
        answering(httpx.Response(200, content=endless)).status()
    monkeypatch.setattr(service_module, "WHOLE_SECONDS", -1.0)
    with pytest.raises(NoAnswerError, match="too slow"):
        answering(httpx.Response(200, content=(b" " for _ in iter(int, 1)))).status()


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (httpx.ConnectTimeout(""), NoAnswerError, "does not answer"),
        (httpx.ConnectError(""), NoAnswerError, "closed the connection"),
        (OSError(113, "No route to host"), NoAnswerError, "can't be reached: no route to host"),
        (ssl.SSLError(1, "odd"), UnusableError, "can't be reached over TLS"),
        (
            ExceptionGroup("", [OSError("no"), ConnectionRefusedError(111, "")]),
            NoAnswerError,
            "no service listens",
        ),
    ],
)
def test_failures_are_explained(error: Exception, kind: type[UnusableError], said: str) -> None:
    """By what they came of."""
    raised = error
    if not isinstance(error, httpx.HTTPError):
        raised = httpx.ConnectError("")
        raised.__cause__ = error
    with pytest.raises(kind, match=said) as found:
        answering(raised).status()

    assert found.type is kind


def test_a_token_is_shown_nowhere() -> None:
    """Not where the object is printed, as in a trace."""
    assert TOKEN not in repr(ServiceClient(at(80), TOKEN))
