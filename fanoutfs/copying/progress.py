"""How far each copy is, and how it ended: no I/O, no clock. Workers' reports come in with their time."""

from collections.abc import Sequence
from enum import Enum

import attrs

from fanoutfs.shm.copy_zeros import CopyZeros
from fanoutfs.status.rates import Rate
from fanoutfs.status.text import format_rate, printable
from fanoutfs.units import ANY_SIZE, format_seconds, format_size

MEMORY = 15.0
"""As ``Rate.memory``, seconds: sticks pause for seconds, and the time left must not jump."""


class Phase(Enum):
    """What a copy is doing; the values are what its worker reports and the display shows."""

    JOINING = "joining"
    COPYING = "copying"
    ZEROING = "zeroing"
    FLUSHING = "flushing"
    VERIFYING = "verifying"
    DONE = "done"
    FAILED = "failed"


STOPPED = {
    Phase.JOINING: "stopped before the first byte",
    Phase.COPYING: "stopped at {done} of {size}",
    Phase.ZEROING: "stopped while writing zeros, at {done} of {size}",
    Phase.FLUSHING: "stopped while flushing",
    Phase.VERIFYING: "stopped while verifying, at {done} of {size}",
}
"""How a copy ended that was interrupted in this phase."""


_SIZE: int = attrs.Factory(lambda self: self.size, takes_self=True)


@attrs.define(eq=False, kw_only=True)
class Progress:
    """One copy, as the command knows it. Times are seconds of one clock that never goes back."""

    target: str
    size: int
    """Bytes of the image."""
    began: float
    data: int = _SIZE
    """Bytes of it that are read; the others are holes, or not copied."""
    copied: int = _SIZE
    """Bytes that the target gets, holes included."""
    resume: bool = False
    verify: bool = False
    start: int | None = None
    """The byte of the image where the copy began; None: not known yet."""
    waits: str | None = None
    """What the copy waits for, as "waits for the source"; None: for nothing."""
    written: int = 0
    """Bytes written so far; with ``resume`` only those that differed."""
    sha256: str | None = None
    """Of the verified target, in hexadecimal digits."""
    zeros: CopyZeros = attrs.field(factory=lambda: CopyZeros((), 0, 0))
    """What of the target holds zeros in place of data that can't be read."""
    stale: str | None = None
    """A line on partitions of the target that the system still has, or None."""
    phase: Phase = attrs.field(default=Phase.JOINING, init=False)
    done: int = attrs.field(default=0, init=False)
    """Bytes of the image that the phase has finished."""
    error: str | None = attrs.field(default=None, init=False)
    """Why the copy failed, in one line."""
    spent: dict[Phase, float] = attrs.field(factory=dict, init=False)
    """Seconds that each phase took, once it is over."""
    _since: float = attrs.field(init=False)
    _rate: Rate = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._since = self.began
        self._rate = Rate(MEMORY)

    def enter(self, phase: Phase, now: float) -> None:
        """Record that a phase begins; does nothing if the copy is in it already."""
        if phase is not self.phase:
            self.spent[self.phase] = self.spent.get(self.phase, 0.0) + now - self._since
            self.phase, self._since = phase, now
            self.done, self.waits, self._rate = 0, None, Rate(MEMORY)
            self._rate.sample(now, 0)

    def advance(self, done: int, now: float) -> None:
        """Record how many bytes of the image the phase has finished."""
        self.done = done
        self.tick(now)

    def tick(self, now: float) -> None:
        """Let time pass: without reports the rate must fall."""
        if self.moves:
            self._rate.sample(now, self.done)

    def learn(self, size: int) -> None:
        """Record the size of the image, which was not known before; all of it is copied."""
        self.size = self.data = self.copied = size

    def fail(self, error: str, now: float) -> None:
        """Record that the copy failed; the error is one line that names the place."""
        done = self.done
        self.enter(Phase.FAILED, now)
        self.done, self.error = done, error

    @property
    def has_zeros(self) -> bool:
        """Some bytes of the target are zeros in place of data."""
        return self.zeros.count > 0

    @property
    def moves(self) -> bool:
        """The phase passes over the image's bytes."""
        return self.phase in (Phase.COPYING, Phase.ZEROING, Phase.VERIFYING)

    @property
    def ended(self) -> bool:
        """The copy is done or has failed."""
        return self.phase in (Phase.DONE, Phase.FAILED)

    @property
    def activity(self) -> str:
        """What the copy is doing, as the display shows it."""
        return "resuming" if self.resume and self.phase is Phase.COPYING else self.phase.value

    @property
    def phase_size(self) -> int:
        """Bytes that the phase passes over."""
        sizes = {Phase.COPYING: self.data, Phase.ZEROING: self.copied - self.data}
        return sizes.get(self.phase, self.copied)

    @property
    def share(self) -> float:
        """How much of the phase is finished, 0 to 1; always 1 once all is copied."""
        if self.phase in (Phase.FLUSHING, Phase.DONE):
            return 1.0
        return min(1.0, self.done / self.phase_size)

    @property
    def rate(self) -> float | None:
        """Bytes per second of late; None when that is not known, or the phase passes over no bytes."""
        return self._rate.value if self.moves else None

    @property
    def time_left(self) -> float | None:
        """Seconds until the copy is done, at this rate, at which it is assumed to be verified, too."""
        if not (rate := self.rate) or self.size == ANY_SIZE:
            return None
        verified_later = self.copied if self.verify and self.phase is Phase.COPYING else 0
        return (max(0, self.phase_size - self.done) + verified_later) / rate

    @property
    def reason(self) -> str:
        """Why the copy failed, for a line that begins with the target: the error need not name it again."""
        return printable(self.error or "").removeprefix(f"the target {printable(self.target)} ")

    def seconds(self, *phases: Phase) -> float:
        """Return how long these phases took together; those that are over."""
        return sum(self.spent.get(phase, 0.0) for phase in phases)


def total(copies: Sequence[Progress], seconds: float) -> str | None:
    """Return the line on all copies, with the time since the first began; None when it would add nothing."""
    good = sum(copy.phase is Phase.DONE for copy in copies)
    if len(copies) == 1 and (not (good and copies[0].verify) or copies[0].has_zeros):
        return None
    failed = sum(copy.phase is Phase.FAILED for copy in copies)
    stopped = len(copies) - good - failed
    zeros = sum(copy.has_zeros for copy in copies)
    good -= zeros
    counts = [f"{zeros} with zeros"] * bool(zeros)
    counts += [f"{failed} failed"] * bool(failed) + [f"{stopped} not finished"] * bool(stopped)
    tally = f"{good} of {len(copies)} copies are good" if len(copies) > 1 else "the copy is good"
    return "; ".join([tally, *([", ".join(counts)] if counts else []), f"{format_seconds(seconds)} in total"])


def outcome(copy: Progress) -> str:
    """Return the line on how one copy ended."""
    return f"{printable(copy.target)}: {_outcome(copy)}"


def _outcome(copy: Progress) -> str:
    if copy.phase is Phase.FAILED:
        return f"FAILED: {copy.reason}"
    if copy.phase is not Phase.DONE:
        size = format_size(copy.phase_size)
        return f"NOT FINISHED: {STOPPED[copy.phase].format(done=format_size(copy.done), size=size)}"
    seconds = copy.seconds(Phase.COPYING, Phase.ZEROING, Phase.FLUSHING)
    size = format_size(copy.copied)
    size += f" of {format_size(copy.size)}" if copy.copied < copy.size else ""
    parts = [f"{size} {'resumed' if copy.resume else 'copied'} in {format_seconds(seconds)}"]
    if copy.data < copy.copied:
        parts.append(f"{format_size(copy.data)} of it data")
    if copy.resume:
        parts.append(f"{format_size(copy.written)} of it written" if copy.written else "nothing was missing")
    if seconds > 0:
        parts.append(format_rate(copy.data / seconds))
    if Phase.VERIFYING in copy.spent:
        parts.append(f"verified in {format_seconds(copy.spent[Phase.VERIFYING])}")
    if copy.sha256 is not None:
        parts.append(f"sha256 {copy.sha256}")
    text = ", ".join(parts)
    if copy.has_zeros:
        zeros = copy.zeros
        places = f"{format_size(zeros.size)} in {zeros.count} place{'s' * (zeros.count > 1)}"
        return f"DONE WITH ZEROS: {text}; {places} can't be read and became zeros: {zeros.text}"
    return text
