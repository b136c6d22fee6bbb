"""Events in order of time. What happens at one time happens before anybody decides on it."""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

import attrs

from fanoutfs.errors import UnusableError


class Settles(Protocol):
    """Something that events happen to."""

    def settle(self) -> None:
        """Decide on what has happened to it."""


@attrs.define(eq=False)
class Clock:
    """The time, in seconds since the scenario began, and what is still to come."""

    now: float = attrs.field(default=0.0, init=False)
    left: int = attrs.field(default=0, init=False)
    """Readers that are still to finish or to leave, everywhere."""
    _queue: list[tuple[float, int, Settles, Callable[[], None]]] = attrs.field(factory=list, init=False)
    _serial: "count[int]" = attrs.field(factory=count, init=False)
    """Events at the same time happen in the order in which they were scheduled."""
    _touched: dict[Settles, None] = attrs.field(factory=dict, init=False)

    def at(self, time: float, whom: Settles, act: Callable[[], None]) -> None:
        """Schedule ``act`` for ``time``; ``whom`` decides afterwards."""
        heappush(self._queue, (time, next(self._serial), whom, act))

    def touch(self, whom: Settles) -> None:
        """Let ``whom`` decide before time goes on."""
        self._touched[whom] = None

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
                _, _, whom, act = heappop(self._queue)
                self._touched[whom] = None
                act()
            while self._touched:
                touched, self._touched = self._touched, {}
                for whom in touched:
                    whom.settle()
