"""What is simulated: an image, a ring, a source, readers, nodes. Values only."""

import math
from typing import Literal

import attrs

from fanoutfs.ring.look_ahead import RUNS
from fanoutfs.settings import RUN, Pace
from fanoutfs.units import MIB

Order = Literal["image", "carousel"]


@attrs.frozen(kw_only=True)
class Stall:
    """A reader stops reading for ``seconds``, from ``at`` or from ``position`` on."""

    seconds: float
    at: float | None = None
    """Seconds since the scenario began."""
    position: int | None = None
    """Bytes that it has read."""


@attrs.frozen(kw_only=True)
class Wire:
    """The link to a node from the one above."""

    rate: float = math.inf
    """Most bytes per second that the node receives."""
    latency: float = 0.0
    """Seconds that a byte or a request takes."""


@attrs.frozen(kw_only=True)
class SimulatedReader:
    """One reader; seconds since the scenario began, bytes per second."""

    at: float = 0.0
    """When it starts."""
    rate: float | None = None
    """How fast it reads resident blocks; None: immediately."""
    order: Order = "image"
    stalls: tuple[Stall, ...] = ()
    leaves: float | None = None
    """When it leaves, wherever it is then; None: when it has read everything."""


@attrs.frozen(kw_only=True)
class Nodes:
    """Identical nodes: ``count`` of them behind each of the nodes above; bytes, seconds."""

    name: str = ""
    count: int = 1
    above: int | None = None
    """The entry of the scenario whose image is their source; None: the machine with the source."""
    at: float = 0.0
    """When they join, since the scenario began."""
    dies: float | None = None
    """When they die; None: never."""
    wire: Wire = Wire()
    card: float = math.inf
    """Most bytes per second that each sends, to all nodes behind it together."""
    ring: int | None = None
    """Bytes; None: as the machine with the source."""
    targets: tuple[SimulatedReader, ...] = (SimulatedReader(order="carousel"),)
    """The copies on each node. Times are since the scenario began."""


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
    """Seconds added to a read that does not adjoin the one before."""
    patience: float = 10.0
    turn: float = 2.0
    pace: Pace = "strict"
    nodes: tuple[Nodes, ...] = ()
    """Each reads from an earlier entry, or from the machine with the source."""
    card: float = math.inf
    """Most bytes per second that the machine with the source sends."""
    shape: str = ""
    """The shape of the nodes, as the user wrote it."""
