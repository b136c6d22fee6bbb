"""The beginning of a pipe waits a little for readers that are started together.

A pipe without a spool can't be read again: a reader that comes when the beginning has left the ring gets an
error. But a few `dd` that a shell starts in a row come some milliseconds apart, and a target of a copy may
take seconds to prepare. So after the first reader a consumer that reads nothing stands at the beginning for a
while. To the rules it is the last of the pack, so the others go no farther than the ring.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import trio

from fanoutfs.ring.ring import Ring

LINE_SECONDS = 5.0
"""How long the beginning of a pipe is kept for further readers, after the first."""

PREPARE_SECONDS = 120.0
"""How long it is kept for the targets of a copy that have not joined."""

AGAIN_SECONDS = 0.25

NUMBER = 0
"""Of the consumer; readers are numbered from 1."""


@attrs.define(eq=False)
class StartingLine:
    """The consumer that stands at the beginning, and the copies for which it does."""

    ring: Ring
    _copies: set[object] = attrs.field(factory=set, init=False)
    _for_copies: bool = attrs.field(default=False, init=False)
    """A command has said that it has targets, and will say when they have joined."""

    @contextmanager
    def awaited_by(self, copy: object) -> Iterator[None]:
        """Keep the beginning for the targets of a command, while the block runs or until ``started``."""
        self._copies.add(copy)
        self._for_copies = True
        try:
            yield
        finally:
            self._copies.discard(copy)

    def started(self, copy: object) -> None:
        """Record that the targets of a command have joined."""
        self._copies.discard(copy)

    def _is_needed(self, seconds: float) -> bool:
        """Return whether the beginning is still kept, these seconds after the first reader."""
        if self._for_copies:
            return bool(self._copies) and seconds < PREPARE_SECONDS
        return seconds < LINE_SECONDS

    async def run(self) -> None:
        """Keep the beginning, from the first reader on, and return; at once if the source is no pipe."""
        if not self.ring.rules.intake.in_order:
            return
        await self.ring.first_opened.wait()
        cursor = self.ring.open(NUMBER)
        began = self.ring.clock()
        try:
            while self._is_needed(self.ring.clock() - began):
                # It is live as long as it moves.
                self.ring.move(cursor, 0, sequential=True)
                await trio.sleep(AGAIN_SECONDS)
        finally:
            self.ring.close(cursor)
