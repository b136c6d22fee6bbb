"""A control socket: who may connect, what it answers, and that invalid messages harm no other client."""

import contextlib
import json
import logging
import os
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from fanoutfs.control.client import ControlConnection
from fanoutfs.control.messages import HungUpError, packed
from fanoutfs.engine import control_server
from fanoutfs.engine import engine as engine_module
from fanoutfs.engine.conduct import MOST_OFFENCES
from fanoutfs.engine.control_server import LONGEST, ControlServer, ControlSession, listen
from fanoutfs.engine.engine import Engine
from fanoutfs.errors import FanoutError, NoAnswerError, UnusableError
from fanoutfs.settings import Settings
from fanoutfs.units import MIB, PAGE
from tests.adapter.producers import BLOCKS, CONTENT, SIZE, Served, copy_rest, in_thread, producer
from tests.limits import HANG_SECONDS
from tests.scratched import Scratched

JOIN = {"target": "/dev/x", "digests": False, "preferred_start": None, "turn": None}


@contextlib.contextmanager
def connected(served: Served) -> Iterator[ControlConnection]:
    """Connect, and disconnect at the end."""
    connection = served.connect()
    try:
        yield connection
    finally:
        for fd in connection.take_descriptors():
            os.close(fd)
        connection.close()


async def ask(connection: ControlConnection, word: str, **message: Any) -> Any:
    return await in_thread(lambda: connection.request(word, HANG_SECONDS, **message))


# Access


@pytest.mark.parametrize(("uid", "let_in"), [(0, True), (4711, True), (4712, False)])
async def test_the_same_user_and_root_are_let_in(
    uid: int, *, let_in: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel says who they are; any other is told so, and asked nothing."""
    of = ControlSession.of

    def of_uid(connected: trio.socket.SocketType) -> ControlSession:
        return ControlSession(connected, of(connected).pid, uid)

    monkeypatch.setattr(ControlSession, "of", of_uid)
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    async with producer() as served:
        with connected(served) as connection:
            if let_in:
                assert (await ask(connection, "status"))["status"]["source"]["size"] == SIZE
            else:
                with pytest.raises(FanoutError, match="another user's"):
                    await ask(connection, "status")


async def test_the_kernel_says_who_has_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process and the user, not what the client says."""
    clients = []
    of = ControlSession.of

    def see(connected: trio.socket.SocketType) -> ControlSession:
        clients.append(of(connected))
        return clients[-1]

    monkeypatch.setattr(ControlSession, "of", see)
    async with producer() as served:
        with connected(served) as connection:
            await ask(connection, "status", pid=1, uid=4711)

    assert [(client.pid, client.uid) for client in clients] == [(os.getpid(), os.getuid())]


# What is answered


async def test_the_status_names_the_copies() -> None:
    """Each with its target and position; a client that only asks for the status is not listed."""
    async with producer() as served:
        with connected(served) as asks:
            with connected(served) as consumer:
                await ask(consumer, "join", **JOIN)
                full = await ask(asks, "status")
            await served.becomes(served.is_idle)
            empty = await ask(asks, "status")

    (reader,) = full["status"]["readers"]
    expected = {"kind": "copy", "target": "/dev/x", "start": 0, "position": 0, "left": SIZE, "delivered": 0}
    assert expected == {key: reader[key] for key in expected}
    assert reader["pid"] == os.getpid()
    assert empty["status"]["readers"] == []
    assert set(empty["status"]["gauges"].values()) == {0}


async def test_it_lives_as_long_as_somebody_stays() -> None:
    """A client that asks for the status does not keep it; it ends with the last mount or copy."""
    async with producer(kept=False) as served:
        with connected(served) as asks:
            with connected(served) as copies:
                with connected(served) as first, connected(served) as second:
                    answers = [await ask(first, "stay"), await ask(second, "stay")]
                    await ask(asks, "status")
                    await ask(copies, "join", **JOIN)
                await served.becomes(lambda: served.engine.users == 1)
                assert not served.ended.is_set()
            await served.ended.wait()
            with pytest.raises(HungUpError):
                await in_thread(asks.receive, HANG_SECONDS)

    assert [answer["others"] for answer in answers] == [0, 1]
    told = {"size": SIZE, "block": PAGE, "identity": "scratched", "head": 0}
    assert told == {key: answers[0][key] for key in told}


async def test_nobody_comes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An engine that was started for a copy ends by itself when that never comes."""
    monkeypatch.setattr(engine_module, "FIRST_SECONDS", 0.05)
    engine = Engine(Settings(block=PAGE, ring=8 * PAGE), Scratched(CONTENT))
    with trio.fail_after(HANG_SECONDS):
        await engine.run(engine.first_user, ControlServer(engine, [listen(tmp_path / "listener")]).serve)


@pytest.mark.parametrize("word", ["stay", "join", "mount"])
async def test_one_that_is_being_ended_takes_nobody_in(word: str) -> None:
    """A connected client is hung up on, and looks for another producer; a new one finds no socket."""
    async with producer() as served:
        with connected(served) as connection:
            answer = await ask(connection, "status")
            served.engine.end_requested.set()
            with pytest.raises(HungUpError):
                await ask(connection, word)

        assert answer["status"]["readers"] == []
        assert not served.path.exists()


async def test_a_mount_that_fails_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason; the client may ask on, and the producer lives."""

    async def mount(*_: object) -> None:
        raise UnusableError("/mnt can't be mounted")

    monkeypatch.setattr(Engine, "mount", mount)
    async with producer() as served:
        with connected(served) as connection:
            with pytest.raises(FanoutError, match=r"^/mnt can't be mounted$"):
                await ask(connection, "mount", point="/mnt", allow_other=False, options=[])
            answer = await ask(connection, "status")

    assert answer["type"] == "status"


async def test_two_hundred_at_once() -> None:
    """All that come in one instant are answered: none is turned away, or has to come again."""
    async with producer() as served:
        with contextlib.ExitStack() as stack:

            def come() -> list[str]:
                connections = [stack.enter_context(connected(served)) for _ in range(200)]
                for number, connection in enumerate(connections):
                    word = ["status", "stay", "join"][number % 3]
                    connection.send(word, **JOIN)
                return [connection.receive(HANG_SECONDS)["type"] for connection in connections]

            words = await in_thread(come)
        await served.becomes(lambda: served.engine.users == 1)

    assert words == (["status", "staying", "welcome"] * 67)[:200]


async def test_a_request_that_comes_piece_by_piece() -> None:
    """A message is one when its line is whole, and several may come in one piece."""
    async with producer() as served:
        with connected(served) as connection:
            for piece in (b'{"type": "sta', b'tus"}', b'\n{"type": "status"}\n{"ty', b'pe": "stay"}\n'):
                connection.socket.sendall(piece)
                await wait_all_tasks_blocked()
            words = [(await in_thread(connection.receive, HANG_SECONDS))["type"] for _ in range(3)]

    assert words == ["status", "status", "staying"]


# Nonsense


def message(word: str, **rest: Any) -> bytes:
    return json.dumps({"type": word, **rest}).encode() + b"\n"


def join(**changes: Any) -> bytes:
    return message("join", **{**JOIN, **changes})


NONSENSE = {
    "no JSON": b"what\n",
    "no text": b"\xff\xfe\x00\n",
    "a number": b"17\n",
    "a list": b"[]\n",
    "an endless list": b"[" * (LONGEST - 1) + b"\n",
    "no word": b"{}\n",
    "an unknown word": message("fly"),
    "a word that is a list": message(["status"]),  # type: ignore[arg-type]
    "a megabyte without an end": b"x" * MIB,
    "join without a target": message("join"),
    "join for no target": join(target=["/dev/x"]),
    "join for an endless target": join(target="x" * 5000),
    "join at no block": join(preferred_start=BLOCKS),
    "join at a block before the first": join(preferred_start=-1),
    "join at half a block": join(preferred_start=1.5),
    "join at a word": join(preferred_start="head"),
    "go on behind the end of the turn": join(turn=[3, 3 + BLOCKS + 1]),
    "go on from no block": join(turn=[BLOCKS, BLOCKS]),
    "go on with one number": join(turn=[3]),
    "go on with a number": join(turn=3),
    "a mount of nothing": message("mount"),
    "a mount on no path": message("mount", point="mnt", allow_other=False, options=[]),
    "a mount on half a path": message("mount", point="/mnt\0/x", allow_other=False, options=[]),
    "one that stays twice": message("stay") + message("stay"),
    "a consumer that joins again": join() + join(),
    "a consumer with an unknown word": join() + message("status"),
    "a new epoch that nobody has ended": join() + message("resume", block=1),
    "a new epoch at no block": join() + message("resume", block="x"),
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_nonsense_costs_who_talks_it_the_connection(
    what: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is let go of, with a line in the log that names its process; a copy under way ends right."""

    def talk(connection: ControlConnection) -> None:
        # It may have heard enough before all is said.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.socket.sendall(NONSENSE[what])
        while True:
            connection.receive(HANG_SECONDS)

    async with producer() as served:
        other = await in_thread(served.join)
        content = bytearray(await in_thread(lambda: copy_rest(other, until=3)))
        with connected(served) as connection, pytest.raises(HungUpError):
            await in_thread(talk, connection)
        whole = await in_thread(copy_rest, other, content)
        other.close()
        await served.becomes(served.is_idle)

    assert whole == CONTENT
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert f"closing the connection of process {os.getpid()}" in record.message
    assert "bug" not in record.message


async def test_a_process_that_talks_nonsense_again_and_again_is_barred() -> None:
    """It is told why, whatever it asks; its connections that were in order are still served."""
    async with producer() as served:
        with connected(served) as before:
            await ask(before, "stay")
            for _ in range(MOST_OFFENCES):
                with connected(served) as connection, pytest.raises(HungUpError):
                    await ask(connection, "fly")
            with (
                connected(served) as connection,
                pytest.raises(FanoutError, match=f"was cut off {MOST_OFFENCES} times"),
            ):
                await ask(connection, "status")
            answer = await ask(before, "status")

    assert answer["type"] == "status"


async def test_a_client_that_reads_no_reply_is_let_go_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once the socket's buffer is full, and its time is over."""
    monkeypatch.setattr(control_server, "TAKE_SECONDS", 0.05)
    async with producer() as served:
        with connected(served) as connection:
            connection.socket.setblocking(False)  # noqa: FBT003 (of socket)
            with contextlib.suppress(BlockingIOError):
                while True:
                    connection.socket.send(message("status"))
            await served.becomes(lambda: "does not read its replies" in caplog.text)
        await served.becomes(served.is_idle)


def free_too_many(connection: ControlConnection) -> None:
    """Report more freed blocks than there can be."""
    fds = connection.take_descriptors()
    os.write(fds[-1], bytes(BLOCKS))
    for fd in fds:
        os.close(fd)


def shut_down(connection: ControlConnection) -> None:
    """Send no more, but stay."""
    connection.socket.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("misbehaves", [free_too_many, shut_down])
async def test_a_consumer_that_misbehaves_holds_nobody(
    misbehaves: Callable[[ControlConnection], None], caplog: pytest.LogCaptureFixture
) -> None:
    """What it held is free at once; a copy under way ends right, though its patience is without end."""
    async with producer(patience=1e9) as served:
        other = await in_thread(served.join)
        with connected(served) as connection:
            await ask(connection, "join", **JOIN)
            await served.becomes(
                lambda: all(one._granted > one._freed for one in served.engine.lenders.values())
            )
            misbehaves(connection)
            content = await in_thread(copy_rest, other)
        other.close()
        await served.becomes(served.is_idle)

    assert content == CONTENT
    assert "bug" not in caplog.text


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (names are enough)


async def test_more_come_than_there_are_descriptors() -> None:
    """Clients that can't be accepted now are accepted later or refused; a copy under way ends right."""
    async with producer(patience=0.05) as served:
        await in_thread(served.copy)  # whatever is opened once is open
        await served.becomes(served.is_idle)
        before = open_descriptors()
        with contextlib.ExitStack() as stack:
            other = stack.enter_context(contextlib.closing(await in_thread(served.join)))
            clients = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(40)]
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (open_descriptors() + 12, hard))
            stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            for client in clients:
                client.connect(str(served.path))
                client.sendall(join())
            content = await in_thread(copy_rest, other)
        await served.becomes(lambda: served.is_idle() and open_descriptors() <= before)
        last = await in_thread(served.copy)

    assert (content, last) == (CONTENT, CONTENT)


@pytest.mark.parametrize(("word", "message"), [("stay", {}), ("join", JOIN)])
async def test_a_reply_takes_long(
    word: str, message: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is told repeatedly that the producer prepares it, as long as that takes."""
    monkeypatch.setattr(control_server, "BUSY_SECONDS", 0.001)
    async with producer() as served:
        goes_on = trio.Event()
        monkeypatch.setattr(Engine, "begin_at_head", lambda _engine: goes_on.wait())
        with connected(served) as connection:
            connection.send(word, **message)
            lines = [await in_thread(connection._line, HANG_SECONDS) for _ in range(3)]
            goes_on.set()
            reply = await in_thread(connection.receive, HANG_SECONDS)
            await trio.sleep(0.01)
            with contextlib.suppress(NoAnswerError):
                after = await in_thread(connection.receive, 0.01)
                pytest.fail(f"after the reply comes {after}")

    assert lines == 3 * [packed({"type": "busy"}).rstrip()]
    assert reply["size"] == SIZE
