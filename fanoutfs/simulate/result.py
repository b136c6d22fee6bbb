"""What a run of the model came to, and what was recorded of it. Values, nothing else."""

import attrs

from fanoutfs.simulate.grain import Grain
from fanoutfs.simulate.scenario import Scenario


@attrs.frozen(kw_only=True)
class Finish:
    """What became of one reader; seconds, and bytes."""

    came: float
    start: int
    """Offset of its first byte."""
    took: float | None
    """From when it came until it had everything; None: it left before."""
    waited: float
    longest_wait: float
    """The longest time without a byte that was not its own doing."""


@attrs.frozen(kw_only=True)
class Reading:
    """One read of the source, for pictures; seconds."""

    begin: float
    end: float
    blocks: range
    detour: bool


@attrs.define(eq=False)
class Track:
    """Where one reader was, for pictures."""

    start: int = 0
    """The block that it began with."""
    had: list[tuple[float, int]] = attrs.field(factory=list)
    """When (seconds) it had had how many blocks; straight lines lie between."""


@attrs.define(eq=False)
class Recording:
    """What a picture is made of; times in seconds, places in blocks."""

    tracks: list[Track]
    reads: list[Reading] = attrs.field(factory=list)
    resident: list[tuple[float, tuple[tuple[int, int], ...]]] = attrs.field(factory=list)
    """From when on which arcs were resident."""


@attrs.frozen(kw_only=True)
class Outcome:
    """What one run of the model came to; bytes and seconds."""

    scenario: Scenario
    grain: Grain
    source_bytes: int
    seeks: int
    seconds: float
    memory: int
    """Most bytes of the ring in use at a time."""
    readers: tuple[Finish, ...]
    recording: Recording | None

    @property
    def passes(self) -> float:
        """What was read of the source, in images."""
        return self.source_bytes / self.scenario.size
