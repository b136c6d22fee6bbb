"""When a target that takes nothing is mentioned, and when its copy is given up. No I/O, no clock.

A worker reports what it has done, and that it lives while it waits for the source. So a worker that is silent
is in a system call on its target. A slow target is never given up: each write has at most 8 MiB, a flush at
most 40.
"""

from enum import Enum, auto

import attrs

from fanoutfs.copying.progress import Phase
from fanoutfs.units import format_seconds

TELL_SECONDS = 60.0

GIVE_UP_SECONDS = 900.0
"""Longer than the kernel tries to revive a disk, and than a flush takes at 50 kB/s."""

TELL = (
    f"has taken nothing for {format_seconds(TELL_SECONDS)}: its disk or file system does not answer, "
    "or is very slow; see dmesg; Ctrl-C ends the copy"
)
GIVEN_UP = (
    f"it has taken nothing for {format_seconds(GIVE_UP_SECONDS)}; see dmesg, and check its disk or its server"
)

_LIMITED = frozenset({Phase.COPYING, Phase.ZEROING, Phase.FLUSHING, Phase.VERIFYING})
"""Phases without a long system call. Before them, preallocation may write the whole file."""


class Verdict(Enum):
    """What is to be done about a worker."""

    NOTHING = auto()
    TELL = auto()
    """Tell the user that its target takes nothing."""
    GIVE_UP = auto()


@attrs.define(eq=False)
class Silence:
    """The silence of one worker; times are seconds of one clock that never goes back."""

    _last_report: float
    _mentioned: bool = attrs.field(default=False, init=False)

    def reported(self, now: float) -> None:
        """Record that the worker has reported something."""
        self._last_report, self._mentioned = now, False

    def verdict(self, phase: Phase, now: float) -> Verdict:
        """Return what is to be done; TELL once for each silence."""
        silent = now - self._last_report
        if silent > GIVE_UP_SECONDS and phase in _LIMITED:
            return Verdict.GIVE_UP
        if silent > TELL_SECONDS and not self._mentioned:
            self._mentioned = True
            return Verdict.TELL
        return Verdict.NOTHING
