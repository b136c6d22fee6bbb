"""What is simulated: an image, a ring, a source, readers that come and go, nodes. Values, nothing else."""

import math
from typing import Literal

import attrs

from fanoutfs.ring.look_ahead import RUNS
from fanoutfs.settings import RUN, Pace
from fanoutfs.units import MIB

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
class Wire:
    """How bytes come to a node from the one above."""

    rate: float = math.inf
    """Bytes per second that it receives at most."""
    latency: float = 0.0
    """Seconds that a byte is under way, and a request as well."""


@attrs.frozen(kw_only=True)
class SimulatedReader:
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
class Nodes:
    """Nodes that nothing tells apart: so many behind each of the nodes above; bytes, seconds."""

    name: str = ""
    count: int = 1
    above: int | None = None
    """Whose image is their source: which entry of the scenario's; None: the machine with the source."""
    at: float = 0.0
    """When they join, since the scenario began."""
    dies: float | None = None
    """When they are heard of no more; None: never."""
    wire: Wire = Wire()
    card: float = math.inf
    """Bytes per second that each sends at most, to all behind it together."""
    ring: int | None = None
    """None: as the machine with the source."""
    targets: tuple[SimulatedReader, ...] = (SimulatedReader(order="carousel"),)
    """What is written on each node. A time is since the scenario began."""


@attrs.frozen(kw_only=True)
class Scenario:
    """One run of the model; bytes and seconds throughout."""

    size: int
    ring: int
    readers: tuple[SimulatedReader, ...]
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
    nodes: tuple[Nodes, ...] = ()
    """Each behind one that comes before it, or behind the machine with the source."""
    card: float = math.inf
    """Bytes per second that the machine with the source sends at most."""
    shape: str = ""
    """How the nodes stand, in the user's words."""
