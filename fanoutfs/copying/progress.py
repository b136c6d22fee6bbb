"""How far each copy is, and what came of it in the end. Pure: what workers say comes in with its time."""

from collections.abc import Sequence
from typing import Literal

import attrs

from fanoutfs.status.rates import Rate
from fanoutfs.status.text import printable
from fanoutfs.units import format_seconds, format_size

Phase = Literal["joins", "copies", "flushes", "verifies", "done", "failed"]

MEMORY = 15.0
"""As ``Rate.memory``, seconds: sticks pause for seconds, and the time left must not jump."""

MOVING: tuple[Phase, ...] = ("copies", "verifies")
"""The phases in which bytes go by."""


@attrs.define(eq=False, kw_only=True)
class Progress:
    """One copy, as the command knows it. Times are seconds of one clock that never goes back."""

    target: str
    size: int
    """Bytes of the image."""
    began: float
    """When it was begun."""
    start: int | None = None
    """The byte of the image where it began; None: not known yet."""
    waits: str | None = None
    """What it waits for, as "waits for the source"; None: for nothing."""
    written: int | None = None
    """Bytes that a resumed copy has written; None: it is not a resumed one, and writes all."""
    sha256: str | None = None
    """Of what is on the target, when it was verified; in hexadecimal digits."""
    phase: Phase = attrs.field(default="joins", init=False)
    done: int = attrs.field(default=0, init=False)
    """Bytes of the image that the phase is done with."""
    error: str | None = attrs.field(default=None, init=False)
    """Why it failed: a line."""
    spent: dict[Phase, float] = attrs.field(factory=dict, init=False)
    """Seconds that each phase took, once it is over."""
    _since: float = attrs.field(init=False)
    _rate: Rate = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._since = self.began
        self._rate = Rate(MEMORY)

    def enter(self, phase: Phase, now: float) -> None:
        """Note that a phase is over and the next begins, at its beginning."""
        if phase != self.phase:
            self.spent[self.phase] = self.spent.get(self.phase, 0.0) + now - self._since
            self.phase, self._since = phase, now
            self.done, self.waits, self._rate = 0, None, Rate(MEMORY)
            self._rate.sample(now, 0)

    def advance(self, done: int, now: float) -> None:
        """Note how many bytes of the image the phase is done with."""
        self.done = done
        self.tick(now)

    def tick(self, now: float) -> None:
        """Let time pass: the rate of one that says nothing must fall."""
        if self.phase in MOVING:
            self._rate.sample(now, self.done)

    def fail(self, error: str, now: float) -> None:
        """Note that nothing will come of it; the error is a line that names the place."""
        done = self.done
        self.enter("failed", now)
        self.done, self.error = done, error

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self.phase in ("done", "failed")

    @property
    def share(self) -> float:
        """How much of the phase is done, 0 to 1; what is flushed or done was all copied."""
        if self.phase in ("flushes", "done"):
            return 1.0
        return min(1.0, self.done / self.size)

    @property
    def rate(self) -> float | None:
        """Bytes per second of late; None when that is not known, or no bytes go by in this phase."""
        return self._rate.value if self.phase in MOVING else None

    @property
    def time_left(self) -> float | None:
        """Seconds that the phase still needs at this rate; None when nothing says so."""
        rate = self.rate
        return max(0, self.size - self.done) / rate if rate else None

    @property
    def reason(self) -> str:
        """Why it failed, for a line that begins with the target: the error need not name it again."""
        return printable(self.error or "").removeprefix(f"the target {printable(self.target)} ")

    def seconds(self, *phases: Phase) -> float:
        """Give how long these phases took together; those that are over."""
        return sum(self.spent.get(phase, 0.0) for phase in phases)


def tally(copies: Sequence[Progress]) -> str | None:
    """Say how many of several are good; None when all are, or there is one."""
    good = sum(copy.phase == "done" for copy in copies)
    if good == len(copies) or len(copies) == 1:
        return None
    failed = sum(copy.phase == "failed" for copy in copies)
    left = len(copies) - good - failed
    bad = [f"{failed} failed"] * bool(failed) + [f"{left} not finished"] * bool(left)
    return f"{good} of {len(copies)} copies are good; {', '.join(bad)}"


def outcome(copy: Progress) -> str:
    """Write what came of one, the line of its target."""
    return f"{printable(copy.target)}: {_outcome(copy)}"


def _outcome(copy: Progress) -> str:
    if copy.phase == "failed":
        return f"FAILED: {copy.reason}"
    if copy.phase != "done":
        return f"NOT FINISHED, it {copy.phase}: {format_size(copy.done)} of {format_size(copy.size)}"
    seconds = copy.seconds("copies", "flushes")
    said = [f"{format_size(copy.size)} {'copied' if copy.written is None else 'resumed'}"]
    said[0] += f" in {format_seconds(seconds)}"
    if copy.written is not None:
        said.append(f"{format_size(copy.written)} of it written" if copy.written else "nothing was missing")
    if seconds > 0:
        said.append(f"{format_size(round(copy.size / seconds))}/s")
    if "verifies" in copy.spent:
        said.append(f"verified in {format_seconds(copy.spent['verifies'])}")
    if copy.sha256 is not None:
        said.append(f"sha256 {copy.sha256}")
    return ", ".join(said)
