"""The requests that wait for a block. This is their list; their tasks wait in ``ring.py``."""

from collections.abc import Iterable

import attrs
import trio

from fanoutfs.errors import FanoutError
from fanoutfs.ring.cursor import Cursor, Request


@attrs.define(eq=False)
class Waiting:
    """A parked request: what it waits for, the event that wakes it, and the error if it failed."""

    request: Request
    woken: trio.Event = attrs.field(factory=trio.Event, init=False)
    error: FanoutError | None = attrs.field(default=None, init=False)

    def give_up(self, error: FanoutError) -> None:
        """Fail it, unless it was woken already."""
        if not self.woken.is_set():
            self.error = error
            self.woken.set()


@attrs.define(eq=False)
class Parked:
    """The parked requests by the real block that they wait for."""

    _at: dict[int, list[Waiting]] = attrs.field(factory=dict, init=False)

    def __bool__(self) -> bool:
        return bool(self._at)

    def park(self, block: int, request: Request) -> Waiting:
        """Add a request that waits for a block."""
        waiting = Waiting(request)
        self._at.setdefault(block, []).append(waiting)
        return waiting

    def leave(self, block: int, waiting: Waiting) -> None:
        """Remove a request that was parked for this block."""
        here = self._at[block]
        here.remove(waiting)
        if not here:
            del self._at[block]

    def all(self) -> list[Waiting]:
        """Return the parked requests."""
        return [waiting for here in self._at.values() for waiting in here]

    def of(self, cursor: Cursor) -> list[Waiting]:
        """Return those of a consumer."""
        return [waiting for waiting in self.all() if waiting.request.cursor is cursor]

    def wake_all(self) -> None:
        """Wake all."""
        for waiting in self.all():
            waiting.woken.set()

    def wake_those_of(self, cursor: Cursor) -> None:
        """Wake those of a consumer."""
        for waiting in self.of(cursor):
            waiting.woken.set()

    def wake(self, blocks: Iterable[int]) -> None:
        """Wake those that wait for one of these blocks."""
        for block in blocks:
            for waiting in self._at.get(block, ()):
                waiting.woken.set()
