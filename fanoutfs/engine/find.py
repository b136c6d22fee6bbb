"""Producer or consumer? Looking for the live producer of a source, and becoming it where there is none.

Whoever holds the source's claim is its producer, or is about to be; its door stands open a moment later. A
claim is given up only after the door is closed. So to connect, to try to claim, and to wait a little, in
turns, ends with one producer and everybody else at its door, however many come at once.
"""

import time
from typing import Any

from fanoutfs.control.client import ControlConnection
from fanoutfs.control.messages import HungUpError
from fanoutfs.engine.lock import ProducerLock, socket_path
from fanoutfs.errors import UnusableError

AGAIN_SECONDS = 0.02

PATIENCE_SECONDS = 30.0
"""How long to wait for a producer that is starting or ending. It opens its source under the lock; a
remote one takes up to twice ``nbd_link.CONNECT_SECONDS``."""


def connect(identity: str) -> ControlConnection | None:
    """Connect to the producer of a source; None when there is none, or it is not listening yet."""
    try:
        return ControlConnection.to(socket_path(identity))
    except (FileNotFoundError, ConnectionRefusedError):
        return None


def ask_status(identity: str) -> dict[str, Any] | None:
    """Give the status document of a source's producer; None when there is none."""
    producer = connect(identity)
    if producer is None:
        return None
    try:
        document: dict[str, Any] = producer.request("status", PATIENCE_SECONDS)["status"]
    except HungUpError:
        return None
    finally:
        producer.close()
    return document


def claim_or_find(identity: str, source: str) -> ProducerLock | ControlConnection:
    """Lock a source, or connect to the live producer that has it; raises UnusableError when that is mute."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        if (found := connect(identity) or ProducerLock.take_nowait(identity)) is not None:
            return found
        if time.monotonic() > until:
            lock = socket_path(identity).with_suffix(".lock")
            raise UnusableError(
                f"the source {source} has a producer that does not answer; its process: fuser -v {lock}"
            )
        time.sleep(AGAIN_SECONDS)
