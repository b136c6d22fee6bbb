"""From the settings and a source to the ring that it is read into."""

import attrs

from fanoutfs.layout import Layout, Only
from fanoutfs.only.reading import fitting_block, read_through
from fanoutfs.ring.memory import Memory
from fanoutfs.ring.ring import Ring
from fanoutfs.ring.rules import Rules
from fanoutfs.settings import Settings
from fanoutfs.source.contract import Source
from fanoutfs.source.pipe_source import PipeSource
from fanoutfs.source.spool import Spool
from fanoutfs.source.wrapper import find_layer
from fanoutfs.system.memory_room import memory_room
from fanoutfs.units import MIB

CHEAP_RING = 64 * MIB
"""Bytes. A ring of this size holds the look-ahead and the spread of the current readers. Memory beyond it
serves later readers; with copies alone it is not used if it costs more than reading the source again."""

PIPE_PATIENCE = 60.0
"""Seconds: the least ``patience`` on a pipe without a spool, where a reader that is left behind has lost its
blocks for good. Sticks pause for many seconds."""


def build_ring(settings: Settings, source: Source, remote_block: int | None, only: Only | None) -> Ring:
    """Return the ring for a source, of which ``only`` this is copied (None: all).

    ``remote_block``: the size of the blocks in which a service has the source; None: it is not a service's.
    Raise UnusableError if there is no memory for it.
    """
    if remote_block is not None:
        settings = settings.with_block(remote_block)
    elif only is not None:
        if settings.fits_block:
            settings = settings.with_block(fitting_block(only.ranges, settings.block))
        only = attrs.evolve(only, ranges=read_through(only.ranges, settings.block))
    patience = settings.patience
    if find_layer(source, PipeSource) is not None and find_layer(source, Spool) is None:
        patience = max(patience, PIPE_PATIENCE)
    layout = Layout.of(source.size, settings.block, source.data(), only)
    room = memory_room()
    rules = Rules(
        blocks=layout.blocks,
        slots=settings.slots(layout.read_size, room.size, room.limit),
        run=settings.run(),
        patience=patience,
        turn=settings.turn,
        strict=settings.pace == "strict",
        cheap_slots=CHEAP_RING // settings.block,
    )
    memory = Memory(rules.slots, settings.block)
    return Ring(size=layout.read_size, block=settings.block, rules=rules, memory=memory, layout=layout)
