"""Progress as lines: for a user that asks with SIGUSR1, and for a log. No I/O, no clock."""

from collections.abc import Sequence

import attrs

from fanoutfs.copying.progress import Phase, Progress, outcome
from fanoutfs.status.text import countdown, format_rate, printable
from fanoutfs.units import ANY_SIZE, format_size

LOG_SECONDS = 10.0
"""The least time between two lines in a log. While the percentage stays the same, no line comes."""


def progress_line(copy: Progress) -> str:
    """Return how far a copy is, or how it ended: a line that begins with its target."""
    return outcome(copy) if copy.ended else f"{printable(copy.target)}: {_figures(copy)}"


def _figures(copy: Progress) -> str:
    parts = [copy.activity]
    if copy.moves:
        if copy.size == ANY_SIZE:
            parts.append(format_size(copy.done))
        else:
            parts += [f"{copy.share:.0%}", f"{format_size(copy.done)} of {format_size(copy.phase_size)}"]
    if copy.rate is not None:
        parts.append(format_rate(copy.rate))
    if copy.time_left is not None:
        parts.append(f"about {countdown(copy.time_left)} left")
    if copy.waits is not None:
        parts.append(printable(copy.waits))
    return ", ".join(parts)


@attrs.define(eq=False)
class ProgressLog:
    """Lines on the copies of a command, seldom enough for a log."""

    copies: Sequence[Progress]
    _next: float = attrs.field(init=False)
    _told: tuple[object, ...] = attrs.field(default=(), init=False)

    def __attrs_post_init__(self) -> None:
        self._next = min(copy.began for copy in self.copies) + LOG_SECONDS

    def line(self, now: float) -> str | None:
        """Return the line that is due: on the copy that will take longest; None if no line is due."""
        running = [copy for copy in self.copies if not copy.ended]
        if now < self._next or not running:
            return None
        last = min(running, key=lambda copy: (_ORDER.index(copy.phase), copy.share))
        last.tick(now)
        told = (last.target, last.phase, last.done if last.size == ANY_SIZE else f"{last.share:.0%}")
        if told == self._told:
            return None
        self._told, self._next = told, now + LOG_SECONDS
        ended = f"{len(self.copies) - len(running)} of {len(self.copies)} targets have ended; the last is "
        return (ended if len(self.copies) > 1 else "") + progress_line(last)


_ORDER = list(Phase)
