"""The result of a run of the model, and its recording. Values only."""

import attrs

from fanoutfs.simulate.grain import Grain
from fanoutfs.simulate.scenario import Scenario


@attrs.frozen(kw_only=True)
class Finish:
    """The result of one reader; seconds, and bytes."""

    came: float
    start: int
    """Offset of its first byte."""
    took: float | None
    """From its start until it had read everything; None: it left before."""
    waited: float
    longest_wait: float
    """The longest time without a byte, apart from its own stalls."""


@attrs.frozen(kw_only=True)
class Reading:
    """One read of the source, for pictures; seconds."""

    begin: float
    end: float
    blocks: range
    detour: bool


@attrs.define(eq=False)
class Track:
    """The positions of one reader, for pictures."""

    start: int = 0
    """The first block that it read."""
    had: list[tuple[float, int]] = attrs.field(factory=list)
    """Time in seconds, and the blocks read by then; linear in between."""


@attrs.define(eq=False)
class Recording:
    """The data for a picture; times in seconds, positions in blocks."""

    tracks: list[Track]
    reads: list[Reading] = attrs.field(factory=list)
    resident: list[tuple[float, tuple[tuple[int, int], ...]]] = attrs.field(factory=list)
    """Time, and the arcs that were resident from then on."""


@attrs.frozen(kw_only=True)
class Outcome:
    """The result of one run of the model; bytes and seconds."""

    scenario: Scenario
    grain: Grain
    source_bytes: int
    seeks: int
    seconds: float
    memory: int
    """Most bytes of the ring in use at any time."""
    readers: tuple[Finish, ...]
    recording: Recording | None

    @property
    def passes(self) -> float:
        """Bytes read from the source, in images."""
        return self.source_bytes / self.scenario.size
