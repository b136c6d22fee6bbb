"""Find the live producer of a source, or become it.

The process that holds the producer lock is the producer, or is about to be: its control socket opens a moment
later. It releases the lock only after it has closed the socket. So processes that alternately connect, try to
lock, and wait end up with one producer and all others connected to it, however many start at once.
"""

import os
import time

import attrs

from fanoutfs.control.client import ControlConnection
from fanoutfs.engine.lock import ProducerLock, socket_name, socket_path
from fanoutfs.errors import UnusableError
from fanoutfs.system.peer import peer_user

AGAIN_SECONDS = 0.02

PATIENCE_SECONDS = 30.0
"""How long to wait for a producer that is starting or ending. It opens its source under the lock; a
remote one takes up to twice ``nbd_link.CONNECT_SECONDS``."""

HANG_UP_SECONDS = 10.0
"""How long a producer may hang up on everyone; one that is about to end does that for a moment."""


@attrs.define(eq=False)
class HangUps:
    """The connections of one command that a source's producer has closed without a reply."""

    source: str
    _until: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._until = time.monotonic() + HANG_UP_SECONDS

    def record(self, producer: ControlConnection) -> None:
        """Wait a moment before the next attempt; raise UnusableError when there were enough of them."""
        if time.monotonic() > self._until:
            raise UnusableError(
                f"the producer of {self.source} (process {producer.peer}) hangs up on every command; "
                f"is it of a different version? End it with: kill {producer.peer}"
            )
        time.sleep(AGAIN_SECONDS)


def connect(identity: str) -> ControlConnection | None:
    """Connect to the producer of a source; return None if no producer listens yet."""
    try:
        return ControlConnection.to(socket_path(identity))
    except (FileNotFoundError, ConnectionRefusedError):
        pass
    try:
        found = ControlConnection.to(f"\0{socket_name(identity)}")
    except ConnectionRefusedError:
        return None
    if peer_user(found.socket) in (0, os.getuid()):
        return found
    # Another user has taken the name.
    found.close()
    return None


def claim_or_find(identity: str, source: str) -> ProducerLock | ControlConnection:
    """Lock a source, or connect to its live producer. Raise UnusableError if that does not answer."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        if (found := connect(identity) or ProducerLock.take_nowait(identity)) is not None:
            return found
        if time.monotonic() > until:
            lock = socket_path(identity).with_suffix(".lock")
            raise UnusableError(
                f"the source {source} has a producer that does not answer; its process is in {lock}"
            )
        time.sleep(AGAIN_SECONDS)
