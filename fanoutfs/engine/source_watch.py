"""Watches the source while it is read: whether it hangs, goes on after its size, or is written to."""

import logging

import attrs
import trio

from fanoutfs.producer import Producer
from fanoutfs.ring.ring import Ring
from fanoutfs.source.changes import ChangeWatch
from fanoutfs.source.counters import Counters
from fanoutfs.source.pipe_source import PipeSource

log = logging.getLogger(__name__)

WATCH_SECONDS = 0.25


@attrs.define(eq=False)
class SourceWatch:
    """Fails the readers that a hanging source delays, and logs once what makes copies doubtful."""

    path: str
    limit: float
    """Seconds of silence."""
    ring: Ring
    producer: Producer
    statistics: Counters
    pipe: PipeSource | None
    """The pipe that the source is read from."""
    changes: ChangeWatch | None
    """What has become of the source since it was opened."""
    _has_surplus: bool = attrs.field(default=False, init=False)

    async def run(self) -> None:
        """Look every WATCH_SECONDS, until cancelled."""
        while True:
            await trio.sleep(WATCH_SECONDS)
            arrived = self._arrived()
            if self.ring.hangs(self.limit, arrived):
                self.producer.give_up(f"it has not answered for {self.limit:g} seconds")
            self.ring.source_hangs(self.limit, arrived)
            if self.pipe is not None:
                self._log_surplus(self.pipe)
            if self.changes is not None:
                self._log_changes(self.changes)

    def _arrived(self) -> int:
        """Return a count that grows while the source gives bytes."""
        return self.statistics.bytes_read if self.pipe is None else self.pipe.arrived

    def _log_surplus(self, pipe: PipeSource) -> None:
        if not self._has_surplus and pipe.surplus():
            self._has_surplus = True
            log.warning("the source %s goes on after the %d bytes of --size; the rest is not read",
                        pipe.path, pipe.size)  # fmt: skip

    def _log_changes(self, changes: ChangeWatch) -> None:
        if changes.was_written and not self.statistics.written:
            self.statistics.written = True
            log.warning(
                "the source %s changes while it is read: it was written to since it was opened; copies "
                "may match no state of it", self.path)  # fmt: skip
