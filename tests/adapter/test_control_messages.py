"""The messages between a producer and its clients, seen from the client."""

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanoutfs.control import client
from fanoutfs.control.client import ControlConnection
from fanoutfs.control.messages import HungUpError, packed, with_descriptors
from fanoutfs.errors import FanoutError, NoAnswerError, UnusableError
from tests.limits import HANG_SECONDS


@pytest.fixture
def ends() -> Iterator[tuple[ControlConnection, socket.socket]]:
    """Return the client's connection, and the producer's socket."""
    mine, other = socket.socketpair()
    connection = ControlConnection(mine)
    yield connection, other
    connection.close()
    other.close()


def test_what_was_said_before_it_hung_up_is_heard(ends: tuple[ControlConnection, socket.socket]) -> None:
    """Though the producer has left with a message unread, the reason for a refusal is told, once."""
    connection, other = ends
    connection.send("status")
    other.sendall(packed({"type": "refused", "error": "this producer is another user's"}))
    other.close()

    with pytest.raises(FanoutError, match="another user's"):
        connection.receive(HANG_SECONDS)
    with pytest.raises(HungUpError):
        connection.receive(HANG_SECONDS)
    with pytest.raises(HungUpError):
        connection.send("status")


def test_why_it_hung_up_is_heard_by_who_asks_later(ends: tuple[ControlConnection, socket.socket]) -> None:
    """Nobody is there to take the question; the reason is the answer to it."""
    connection, other = ends
    other.sendall(packed({"type": "failed", "error": "the source can't be read"}))
    other.close()

    with pytest.raises(FanoutError, match="the source can't be read"):
        connection.request("resume", HANG_SECONDS, block=3)
    with pytest.raises(HungUpError):
        connection.request("status", HANG_SECONDS)


def test_descriptors_come_with_their_message_however_it_is_cut(
    ends: tuple[ControlConnection, socket.socket],
) -> None:
    """They are the receiver's own, closed at exec; a long message comes in many pieces."""
    connection, other = ends
    line = packed({"type": "welcome", "long": "x" * 300_000})
    with open(os.devnull, "rb") as one, open(os.devnull, "rb") as two:  # noqa: PTH123 (two descriptors)
        other.sendmsg([line[:10]], with_descriptors((one.fileno(), two.fileno())))
        sender = threading.Thread(target=other.sendall, args=(line[10:],))
        sender.start()
        message = connection.receive(HANG_SECONDS)
        sender.join()
        fds = connection.take_descriptors()
        same = [os.path.sameopenfile(fd, one.fileno()) for fd in fds]
        inherited = [os.get_inheritable(fd) for fd in fds]
        for fd in fds:
            os.close(fd)

    assert len(message["long"]) == 300_000
    assert (same, inherited) == ([True, True], [False, False])
    assert connection.take_descriptors() == []


def test_a_producer_that_is_mute(ends: tuple[ControlConnection, socket.socket]) -> None:
    """It is waited for as long as was said, and no longer; the error names its process."""
    connection, _ = ends
    with pytest.raises(
        NoAnswerError, match=rf"0\.01 seconds: process {os.getpid()} hangs.* kill {os.getpid()}"
    ):
        connection.request("status", 0.01)


def test_a_producer_that_reads_nothing(
    ends: tuple[ControlConnection, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that finds no room in the socket is not waited for any longer than a reply."""
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.01)
    connection, _ = ends
    with pytest.raises(NoAnswerError, match="has not answered"):
        connection.send("status", long="x" * 10_000_000)


def test_a_producer_that_is_busy(ends: tuple[ControlConnection, socket.socket]) -> None:
    """It says so, and the reply is still waited for."""
    connection, other = ends
    other.sendall(3 * packed({"type": "busy"}) + packed({"type": "staying"}))

    assert connection.request("stay", HANG_SECONDS) == {"type": "staying"}


@pytest.mark.parametrize("line", [b"no JSON\n", b"[]\n", b"{}\n", b"\xff\n", b'{"type": "failed"}\n'])
def test_a_producer_that_sends_nonsense(ends: tuple[ControlConnection, socket.socket], line: bytes) -> None:
    """It is of another version, or no producer: an error that names its process."""
    connection, other = ends
    other.sendall(line)

    with pytest.raises(UnusableError, match=f"process {os.getpid()}\\) sends what is no message"):
        connection.request("status", HANG_SECONDS)


def test_a_producer_with_a_full_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that accepts no connections is not waited for any longer than a reply."""
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.01)
    path = tmp_path / "source.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen(0)
        first = ControlConnection.to(path)
        with pytest.raises(NoAnswerError, match=r"accepted no connection .* cat .*source\.lock"):
            ControlConnection.to(path)
        first.close()
