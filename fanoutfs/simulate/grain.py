"""How finely a scenario is modelled: a petabyte in blocks of 1 MiB would be a thousand million of them.

A coarse block stands for many real ones, and what a real mount does run by run happens in one step. To keep
the proportions, everything that belongs to a run is scaled with it (``scale``):

- ``turn``: a reader off the sequential pass gets a run per turn; a larger run in a larger turn is the same
  rate.
- the time and the number of seeks: a run stands for many, each of which would cost one.
- the first block after an open is not read at once: of a coarse block only a small part would be.

Readers whose rates differ slightly could never become one cohort (``cohort.py``). So a coarse model with many
rates rounds them, to steps of about two percent.
"""

import math
from typing import Self

import attrs

from fanoutfs.errors import UsageError
from fanoutfs.ring.look_ahead import RUNS
from fanoutfs.settings import LARGEST_BLOCK
from fanoutfs.simulate.scenario import Scenario
from fanoutfs.units import MIB, format_size

WORK = 100_000
"""Blocks that all readers together read in one run of the model: a few seconds."""

LEAST_BLOCKS = 400
"""Of the image: the position of a reader is known to a quarter of a percent."""

LEAST_SLOTS = 8 * RUNS
"""Of the ring: a look-ahead of runs of one block is an eighth of it."""

MOST_RATES = 64
"""More rates than this are rounded in a coarse model."""

RATE_STEPS = 32
"""Rates that are left between one and its double: each is at most 1.1 percent off."""


@attrs.frozen
class Grain:
    """The model's measures, in blocks but for ``block`` itself, which is in bytes."""

    block: int
    blocks: int
    slots: int
    run: int
    scale: float
    """How many of the mount's runs one run of the model stands for."""
    many_rates: bool = False

    @property
    def coarse(self) -> bool:
        """Whether a block is larger than any mount's."""
        return self.scale > 1

    @property
    def rounds(self) -> bool:
        """Whether rates are rounded."""
        return self.coarse and self.many_rates

    def with_ring(self, ring: int) -> Self:
        """Return the same measures for a ring of ``ring`` bytes."""
        return attrs.evolve(self, slots=_slots(ring, self.block, self.blocks))

    def seconds(self, rate: float | None) -> float:
        """Return the seconds that a reader of ``rate`` bytes per second needs for a block."""
        if rate is None:
            return 0.0
        if self.rounds:
            rate = 2 ** (round(math.log2(rate) * RATE_STEPS) / RATE_STEPS)
        return self.block / rate


def grain(scenario: Scenario) -> Grain:
    """Return the measures for a scenario: its own block size, else 1 MiB doubled while it is too much work.

    Raises UsageError when the ring does not hold two blocks.
    """
    block = scenario.block or _chosen(scenario)
    for ring in {scenario.ring, *(nodes.ring or scenario.ring for nodes in scenario.nodes)}:
        if ring < 2 * block:
            raise UsageError(f"ring {format_size(ring)} must hold two blocks of {format_size(block)}")
    blocks = -(-scenario.size // block)
    run = max(1, scenario.run // block)
    as_mounted = scenario.block is not None and block <= LARGEST_BLOCK
    return Grain(
        block=block,
        blocks=blocks,
        slots=_slots(scenario.ring, block, blocks),
        run=run,
        many_rates=len({reader.rate for reader in scenario.readers}) > MOST_RATES,
        scale=1.0 if as_mounted else max(1.0, run * block / scenario.run),
    )


def least_work(scenario: Scenario) -> int:
    """Return the least number of blocks that one run takes if no reader leaves and no node dies.

    On one machine the readers of one order and rate can go on as one (``cohort.py``). The producer of a
    machine takes each block too. Raises UsageError as ``grain`` does.
    """
    measures = grain(scenario)
    machines = [scenario.readers, *(nodes.targets for nodes in scenario.nodes)]
    kinds = (len({(reader.order, measures.seconds(reader.rate)) for reader in on_it}) for on_it in machines)
    return measures.blocks * sum(1 + count for count in kinds)


def _slots(ring: int, block: int, blocks: int) -> int:
    return max(2, min(ring // block, blocks))


def _chosen(scenario: Scenario) -> int:
    rings = [scenario.ring, *(nodes.ring or scenario.ring for nodes in scenario.nodes)]
    # A node is a reader of the node above, and its targets are readers of its own ring.
    readers = len(scenario.readers) + sum(1 + len(nodes.targets) for nodes in scenario.nodes)
    block = MIB
    while readers * (scenario.size // block) > WORK:
        coarser = 2 * block
        if scenario.size // coarser < LEAST_BLOCKS or min(rings) // coarser < LEAST_SLOTS:
            break
        block = coarser
    return block
