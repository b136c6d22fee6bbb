"""Producer or consumer? Looking for the live producer of a source, and becoming it where there is none.

Whoever holds the source's claim is its producer, or is about to be; its door stands open a moment later. A
claim is given up only after the door is closed. So to knock, to try to claim, and to wait a little, in
turns, ends with one producer and everybody else at its door, however many come at once.
"""

import time
from typing import Any

from fanoutfs.control.messages import Connection, HungUpError
from fanoutfs.engine.lock import Claim, door_of
from fanoutfs.errors import UnusableError

AGAIN_SECONDS = 0.02

PATIENCE_SECONDS = 15.0
"""So long a producer that is beginning, or ending, is waited for."""


def knock(identity: str) -> Connection | None:
    """Connect to the producer of a source; None when there is none, or it is not listening yet."""
    try:
        return Connection.to(door_of(identity))
    except (FileNotFoundError, ConnectionRefusedError):
        return None


def ask_status(identity: str) -> dict[str, Any] | None:
    """Give the status document of a source's producer; None when there is none."""
    producer = knock(identity)
    if producer is None:
        return None
    try:
        document: dict[str, Any] = producer.ask("status", PATIENCE_SECONDS)["status"]
    except HungUpError:
        return None
    finally:
        producer.close()
    return document


def claim_or_find(identity: str, source: str) -> Claim | Connection:
    """Claim a source, or connect to the live producer that has it; raises UnusableError when that is mute."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        if (found := knock(identity) or Claim.take_nowait(identity)) is not None:
            return found
        if time.monotonic() > until:
            lock = door_of(identity).with_suffix(".lock")
            raise UnusableError(
                f"the source {source} has a producer that does not answer; its process: fuser -v {lock}"
            )
        time.sleep(AGAIN_SECONDS)
