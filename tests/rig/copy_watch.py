"""What a source's producer reports about the targets of its copies, polled during a measurement."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import attrs

from fanoutfs.engine.query import ask_status
from fanoutfs.errors import FanoutError
from fanoutfs.status.document import StatusDocument
from fanoutfs.system.identity import identity_of
from tests.rig.timed_readers import POLL

LEAVES = 10.0  # seconds that a producer may take to leave after its last consumer


def producer_of(source: Path) -> StatusDocument | None:
    """Return the status document of a source's producer; None if there is none, or it is just leaving."""
    try:
        return ask_status(identity_of(source.stat()))
    except FanoutError:
        return None


def wait_until_left(source: Path) -> None:
    """Wait until the producer has left, unless it has a mount; print a message if it stays too long."""
    until = time.monotonic() + LEAVES
    while (status := producer_of(source)) is not None and not status.mountpoint:
        if time.monotonic() > until:
            print(f"the producer {status.pid} has not left: {status.readers}")
            return
        time.sleep(POLL)


@attrs.define(eq=False)
class Seen:
    """The copy to one target, as the producer reported it."""

    joined: float
    """When it was first reported."""
    left: int = 0
    """Bytes that it lacks."""
    pid: int = 0
    ended: float = math.inf
    """When it lacked nothing, or was no longer reported."""


@attrs.define(eq=False)
class Watch:
    """All that a source's producers have reported; each look costs the producer about a millisecond."""

    source: Path
    targets: dict[str, Seen] = attrs.field(factory=dict, init=False)
    producers: set[int] = attrs.field(factory=set, init=False)

    def look(self) -> None:
        """Request a status, and record it."""
        status = producer_of(self.source)
        now = time.monotonic()
        readers = {} if status is None else {r.target: r for r in status.readers if r.target}
        for target, reader in readers.items():
            seen = self.targets.setdefault(target, Seen(now))
            seen.left, seen.pid = reader.left, reader.pid
        for target, seen in self.targets.items():
            if target not in readers or seen.left == 0:
                seen.ended = min(seen.ended, now)
        if status is not None:
            self.producers.add(status.pid)

    def follow(self, condition: Callable[[], bool], pause: float = POLL) -> None:
        """Look while the condition holds, and once more."""
        while condition():
            self.look()
            time.sleep(pause)
        self.look()
