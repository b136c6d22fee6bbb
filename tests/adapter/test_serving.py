"""The service on the loopback: who may be connected, and for how long."""

import importlib
import logging
import os
import select
import ssl
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fanoutfs.errors import UnusableError
from fanoutfs.settings import ServiceSettings
from fanoutfs.system.credentials import read_token
from fanoutfs.units import KIB, MIB
from fanoutfs.web.app import FORM_SECONDS
from fanoutfs.web.bind_service import open_service
from fanoutfs.web.events import MOST_CLIENTS
from fanoutfs.web.http_server import IDLE_SECONDS, LEAVING_SECONDS, MOST_CONNECTIONS, SEND_SECONDS, Client
from fanoutfs.web.web_task import serve
from tests.adapter.conftest import Certificate
from tests.adapter.service import TOKEN, Served, at_once, opened, receive_until, secret_file, serving, until
from tests.documents import document, reader
from tests.limits import HANG_SECONDS
from tests.ports import free_port
from tests.tasks.rig import make_rig

GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n"


@attrs.define(eq=False)
class SlowStream:
    """A connection over a slow link."""

    rate: float
    """Bytes per second."""
    socket: Any = attrs.field(factory=lambda: SimpleNamespace(close=int))
    sent: int = 0

    async def send_all(self, data: memoryview) -> None:
        await trio.sleep(len(data) / self.rate)
        self.sent += len(data)


async def test_a_client_on_a_slow_link_receives_all(autojump_clock: MockClock) -> None:
    """The limit is on its silence, not on the time of a whole answer."""
    stream = SlowStream(100 * KIB)
    await Client(cast("trio.SocketStream", stream)).send_all(bytes(2 * MIB + 1))
    assert stream.sent == 2 * MIB + 1


async def test_a_client_that_does_not_read_is_disconnected(autojump_clock: MockClock) -> None:
    """Within seconds, however much is left to send."""
    stream = SlowStream(1.0)
    client = Client(cast("trio.SocketStream", stream))
    begun = trio.current_time()
    with pytest.raises(trio.BrokenResourceError, match="does not read"):
        await client.send_all(bytes(MIB))
    assert client.whole.cancel_called
    assert trio.current_time() - begun == SEND_SECONDS


# Before the mount


@pytest.mark.parametrize(
    ("module", "by", "named"),
    [
        ("hypercorn.config", "http_server", "hypercorn"),
        ("starlette.routing", "app", "starlette"),
        ("prometheus_client.core", "metrics", "prometheus_client"),
    ],
)
def test_without_the_extra_it_is_said_how_to_get_it(
    module: str, by: str, named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount that does not listen needs none of these, so they are not installed with it."""
    monkeypatch.setitem(sys.modules, module, None)
    for name in {by, "app", "web_task"}:
        monkeypatch.delitem(sys.modules, f"fanoutfs.web.{name}", raising=False)
    monkeypatch.delattr("fanoutfs.web.metrics", raising=False)
    with pytest.raises(UnusableError, match=rf"^--listen needs {named}, .*fanoutfs\[service\]"):
        importlib.import_module("fanoutfs.web.web_task")


def test_a_token_of_ones_own_is_read(tmp_path: Path) -> None:
    """Without the line's end."""
    assert TOKEN == read_token(secret_file(tmp_path, TOKEN + "\n"))


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        (TOKEN, 0o640, "chmod 600"),
        (TOKEN, 0o604, "chmod 600"),
        ("short", 0o600, "5 letters"),
        ("", 0o600, "0 letters"),
        ("a" * 2000, 0o600, "letters"),
        ("two words of a token", 0o600, "one line"),
        (TOKEN + "ü", 0o600, "one line"),
    ],
)
def test_a_bad_token_file_is_refused(tmp_path: Path, text: str, mode: int, said: str) -> None:
    """One that others can read, or whose token can be guessed."""
    with pytest.raises(UnusableError, match=said):
        read_token(secret_file(tmp_path, text, mode))


def test_what_is_no_file_is_no_token_file(tmp_path: Path) -> None:
    """A folder, a pipe without a writer, a name of nothing."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("", "pipe", "nothing"):
        with pytest.raises(UnusableError, match="token file"):
            read_token(tmp_path / name)


def test_an_address_in_use_is_refused() -> None:
    """By the command, before anything is mounted."""
    first = opened()
    port = first.socket.getsockname()[1]
    with pytest.raises(UnusableError, match="in use"):
        open_service(ServiceSettings(host="127.0.0.1", port=port))
    first.close()


def test_a_port_is_free_again_at_once() -> None:
    """For a mount that is taken down and made again."""
    first = opened()
    port = first.socket.getsockname()[1]
    first.close()
    open_service(ServiceSettings(host="127.0.0.1", port=port)).close()


def test_a_certificate_that_is_none_is_refused(tmp_path: Path) -> None:
    """By the command, too."""
    path = secret_file(tmp_path)
    with pytest.raises(UnusableError, match="--tls-cert"):
        open_service(ServiceSettings(host="127.0.0.1", port=free_port(), tls_cert=path, tls_key=path))


# Serving


async def test_many_requests_go_over_one_connection() -> None:
    """HTTP's keep-alive."""
    async with serving() as served:
        stream = await served.connect()
        for _ in range(3):
            await stream.send_all(GET % b"/status")
            assert (await receive_until(stream, b"}\n")).startswith(b"HTTP/1.1 200")


async def test_events_come_as_they_are_made() -> None:
    """The document at once, then again and again."""
    async with serving() as served:
        stream = await served.connect(GET % b"/events")
        assert b"data: {" in await receive_until(stream, b"}\n\n")
        assert served.service.feed.clients == 1
        assert b"data: {" in await receive_until(stream, b"}\n\n")
        await stream.aclose()
        await until(lambda: served.service.feed.clients == 0)


async def test_the_head_of_events_has_no_end() -> None:
    """HEAD is answered, and holds no place."""
    async with serving() as served:
        stream = await served.connect(GET.replace(b"GET", b"HEAD") % b"/events")
        assert b"text/event-stream" in await receive_until(stream, b"\r\n\r\n")
        await until(lambda: served.service.feed.clients == 0)


async def test_those_who_come_beyond_the_bound_are_told_to_come_again(mock_clock: MockClock) -> None:
    """The rest of the service goes on answering.

    The clock stands still: a connection on which nothing has been asked is closed after IDLE_SECONDS, and
    opening them all may take longer than that on a busy machine.
    """
    async with serving() as served:
        streams = [await served.connect() for _ in range(MOST_CLIENTS + 5)]
        answers = []
        for some in (streams[:MOST_CLIENTS], streams[MOST_CLIENTS:]):
            for stream in some:
                await stream.send_all(GET % b"/events")
            answers += [await receive_until(stream, b"\r\n\r\n") for stream in some]
            assert served.service.feed.clients == MOST_CLIENTS
        assert [b"200"] * MOST_CLIENTS + [b"503"] * 5 == [answer[9:12] for answer in answers]
        asking = await served.connect(GET % b"/status")
        assert (await receive_until(asking, b"}\n")).startswith(b"HTTP/1.1 200")


async def test_connections_are_bounded(mock_clock: MockClock) -> None:
    """One connection more waits until another has gone; see above for the clock."""
    async with serving() as served:
        streams = [await served.connect() for _ in range(MOST_CONNECTIONS + 1)]
        await streams[-1].send_all(GET % b"/status")
        await at_once(lambda: len(served.server.clients) == MOST_CONNECTIONS)
        await wait_all_tasks_blocked()
        assert len(served.server.clients) == MOST_CONNECTIONS
        assert [] == select.select([streams[-1].socket], [], [], 0)[0]
        await streams[0].aclose()
        mock_clock.rate = 1.0
        assert (await receive_until(streams[-1], b"}\n")).startswith(b"HTTP/1.1 200")


async def test_a_client_that_takes_nothing_is_hung_up_on(autojump_clock: MockClock) -> None:
    """When what was sent has not gone for some seconds."""
    large = document(*(reader(number, command="d" * 200) for number in range(2000)))
    async with serving(large) as served:
        stream = await served.connect(GET % b"/events")
        await at_once(lambda: served.service.feed.clients == 1)
        await until(lambda: served.service.feed.clients == 0)
        await stream.aclose()


async def see_disconnected(served: Served, clock: MockClock, seconds: float) -> None:
    """See that the one client is disconnected after ``seconds``, not before."""
    await at_once(lambda: len(served.server.clients) == 1)
    await wait_all_tasks_blocked()
    clock.jump(seconds - 0.1)
    await wait_all_tasks_blocked()
    assert len(served.server.clients) == 1
    clock.jump(0.2)
    await at_once(lambda: served.server.clients == set())


@pytest.mark.parametrize(
    ("sent", "tls"),
    [(b"", False), (b"GET /status HTTP/1.1\r\nHo", False), (GET % b"/status", False), (b"", True)],
)
async def test_a_client_that_is_stopped(
    sent: bytes, mock_clock: MockClock, certificate: Certificate, *, tls: bool
) -> None:
    """Before it has sent a request, in the middle, after an answer, or before TLS has begun."""
    settings: Any = certificate if tls else {}
    async with serving(**settings) as served:
        stream = await served.connect(sent)
        if sent.endswith(b"\r\n\r\n"):
            await receive_until(stream, b"}\n")
        await see_disconnected(served, mock_clock, IDLE_SECONDS)


async def test_a_client_that_will_send_nothing(mock_clock: MockClock) -> None:
    """It has ended its stream without a request."""
    async with serving() as served:
        stream = await served.connect()
        await stream.send_eof()
        await see_disconnected(served, mock_clock, LEAVING_SECONDS)


async def test_a_client_is_stopped_in_the_middle_of_a_form(mock_clock: MockClock) -> None:
    """The rest is waited for some seconds; then it is not a login form."""
    async with serving() as served:
        stream = await served.connect(
            b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\ntoken="
        )
        await see_disconnected(served, mock_clock, FORM_SECONDS)
        answer = await receive_until(stream, b"form\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.endswith(b"not a login form\n")


async def test_a_client_that_takes_nothing_does_not_hold_the_end(mock_clock: MockClock) -> None:
    """The service is over when its engine is; on a clock that stands still no wait for a client ends."""
    large = document(*(reader(number, command="d" * 200) for number in range(5000)))
    async with serving(large) as served:
        stream = await served.connect(GET % b"/status")
        await stream.receive_some(1)
        await wait_all_tasks_blocked()
        (client,) = served.server.clients
        assert client._sending.locked()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00" + bytes(100),
        b"A" * 70000,
        GET % b"/\xff",
        GET % b"/%ff%00",
        b"POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 300_000,
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\ntoken=" + b"x" * 8994,
        b"POST /login HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
        GET % b"/events" + GET % b"/status",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(50),
        GET.replace(b"\r\n\r\n", b"\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n") % b"/events",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
    ],
)
async def test_nonsense_costs_its_own_connection(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody else's, nothing is left of it, and it is no error of ours."""
    async with serving() as served:
        stream = await served.connect()
        try:
            await stream.send_all(sent)
            with trio.move_on_after(0.05):
                await stream.receive_some()
        except trio.BrokenResourceError:
            pass
        await stream.aclose()
        asking = await served.connect(GET % b"/status")
        assert (await receive_until(asking, b"}\n")).startswith(b"HTTP/1.1 200")
        await asking.aclose()
        await until(lambda: served.server.clients == set())
    assert [] == [record for record in caplog.records if record.levelno > logging.INFO]


async def test_over_tls_it_is_the_same(certificate: Certificate) -> None:
    """With a certificate the connection is encrypted; a client without TLS gets no answer."""
    trusting = ssl.create_default_context(cafile=certificate["tls_cert"])
    async with serving(**certificate) as served:
        plain = await served.connect(GET % b"/status")
        assert b"" == await receive_until(plain, b"\n")
        secret = await trio.open_ssl_over_tcp_stream("localhost", served.port, ssl_context=trusting)
        await secret.send_all(GET % b"/status")
        assert (await receive_until(secret, b"}\n")).startswith(b"HTTP/1.1 200")
        assert served.server.bound.url.startswith("https://")
        await secret.aclose()
        await plain.aclose()


async def test_a_bug_of_the_service_ends_the_service_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The mount goes on; the log has the trace."""
    looks = iter([document()])
    listening = opened()
    address = listening.socket.getsockname()
    rig, source = make_rig(), SimpleNamespace(identity="disk-8:16")
    engine: Any = SimpleNamespace(
        status=lambda: next(looks),
        ring=rig.ring,
        slot_digests=rig.digests,
        source=source,
        source_changed=None,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve, listening, engine)
        async with await trio.open_tcp_stream(*address) as stream:
            await stream.send_all(GET % b"/events")
            with trio.fail_after(HANG_SECONDS):
                assert b"readers" in await receive_until(stream, b"the end")

    assert ["the monitor service has ended, the mount continues: this is a bug"] == [
        record.message for record in caplog.records if record.levelno > logging.INFO
    ]
