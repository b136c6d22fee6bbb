"""What is simulated: an image, a ring, a source, and readers that come and go. Values, nothing else."""

from typing import Literal

import attrs

from fanoutfs.ring.ahead import RUNS
from fanoutfs.settings import MIB, RUN, Pace

Order = Literal["image", "carousel"]


@attrs.frozen(kw_only=True)
class Stall:
    """A reader takes nothing for ``seconds``; one of ``at`` and ``position`` says from when on."""

    seconds: float
    at: float | None = None
    """Seconds since the scenario began."""
    position: int | None = None
    """Bytes that it has had."""


@attrs.frozen(kw_only=True)
class Reader:
    """One reader; seconds since the scenario began, bytes per second."""

    at: float = 0.0
    """When it comes."""
    rate: float | None = None
    """How fast it takes what is there; None: at once."""
    order: Order = "image"
    stalls: tuple[Stall, ...] = ()
    leaves: float | None = None
    """When it goes, wherever it is then; None: when it has everything."""


@attrs.frozen(kw_only=True)
class Scenario:
    """One run of the model; bytes and seconds throughout."""

    size: int
    ring: int
    readers: tuple[Reader, ...]
    block: int | None = None
    """None: chosen by ``grain.py``."""
    run: int = RUN
    look_ahead_runs: int = RUNS
    source_rate: float = 100.0 * MIB
    seek_time: float = 0.0
    """Cost of a read of the source that does not adjoin the one before."""
    patience: float = 10.0
    turn: float = 2.0
    pace: Pace = "strict"
