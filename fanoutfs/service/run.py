"""The monitor service as a task beside an engine."""

import logging

import trio

from fanoutfs.coordinator.engine import Engine
from fanoutfs.service.app import Service
from fanoutfs.service.feed import Feed
from fanoutfs.service.opening import Opened
from fanoutfs.service.serve import Server

log = logging.getLogger(__name__)


async def serve(opened: Opened, engine: Engine) -> None:
    """Serve what an engine does, until it ends."""
    feed = Feed(engine.status)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed.run)
            nursery.start_soon(Server(opened, Service(opened.access, feed).app()).run)
    except* Exception:
        # Whoever looks must not be able to end what is looked at.
        log.exception("the monitor service has ended, the mount goes on: this is a bug")
