"""Events in order of time. All events of one time happen before their owners decide on them."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

import attrs

from fanoutfs.errors import UnusableError


class Settles(Protocol):
    """The owner of events."""

    def settle(self) -> None:
        """Decide what follows from its events."""


@attrs.define(eq=False)
class Clock:
    """The time, in seconds since the scenario began, and the pending events."""

    now: float = attrs.field(default=0.0, init=False)
    left: int = attrs.field(default=0, init=False)
    """Readers on all machines that have neither finished nor left."""
    _queue: list[tuple[float, int, Settles, Callable[[], None]]] = attrs.field(factory=list, init=False)
    _serial: "count[int]" = attrs.field(factory=count, init=False)
    """Events at the same time happen in the order in which they were scheduled."""
    _touched: dict[Settles, None] = attrs.field(factory=dict, init=False)

    def at(self, time: float, owner: Settles, act: Callable[[], None]) -> None:
        """Schedule ``act`` for ``time``; ``owner`` decides afterwards."""
        heappush(self._queue, (time, next(self._serial), owner, act))

    def touch(self, owner: Settles) -> None:
        """Let ``owner`` decide before time goes on."""
        self._touched[owner] = None

    def run(self) -> None:
        """Run all events until no reader is left.

        Raises UnusableError when there are readers but no events.
        """
        while self.left:
            if not self._queue:
                raise UnusableError(
                    f"the rules stand still at {self.now:g} s with {self.left} readers waiting"
                )
            self.now = self._queue[0][0]
            while self._queue and self._queue[0][0] <= self.now:
                _, _, owner, act = heappop(self._queue)
                self._touched[owner] = None
                act()
            while self._touched:
                touched, self._touched = self._touched, {}
                for owner in touched:
                    owner.settle()
