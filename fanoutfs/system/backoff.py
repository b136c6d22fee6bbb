"""How long to wait before an attempt that failed is repeated. No I/O, no clock."""

import math

import attrs


@attrs.define
class BackOff:
    """Pauses that double from ``first`` to ``longest``; seconds."""

    first: float
    longest: float
    reset_after: float = math.inf
    """After an attempt that ran this long, the next pause is the first again."""
    _next: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._next = self.first

    def after(self, ran: float = 0.0) -> float:
        """Return the pause after an attempt that failed when it had run for ``ran`` seconds."""
        pause = self.first if ran >= self.reset_after else self._next
        self._next = min(2 * pause, self.longest)
        return pause
