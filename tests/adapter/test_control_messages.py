"""What goes over the socket between a producer and those who come to it, seen from their end."""

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from fanoutfs.control.client import ControlConnection
from fanoutfs.control.messages import HungUpError, packed, with_descriptors
from fanoutfs.errors import FanoutError, UnusableError
from tests.limits import HANG_SECONDS


@pytest.fixture
def ends() -> Iterator[tuple[ControlConnection, socket.socket]]:
    """Give a visitor's end, and the producer's."""
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
    """It is waited for as long as was said, and no longer."""
    connection, _ = ends
    with pytest.raises(UnusableError, match="was it stopped"):
        connection.request("status", 0.01)
