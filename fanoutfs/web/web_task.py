"""The monitor service as a background task of an engine."""

import logging

import trio

from fanoutfs.digests.recorder import Recorder
from fanoutfs.engine.engine import Engine
from fanoutfs.errors import UnusableError
from fanoutfs.web.bind_service import BoundService
from fanoutfs.web.feed import Feed

try:
    from fanoutfs.web.app import WebApp
    from fanoutfs.web.digest_stream import DigestStream
    from fanoutfs.web.http_server import Server
except ImportError as error:
    # A mount without --listen does without what they need.
    needed = (error.name or "").partition(".")[0]
    raise UnusableError(
        f"--listen needs {needed}, which is missing or too old; install it with: "
        "pip install 'fanoutfs[service]', on Debian: apt install python3-hypercorn python3-starlette "
        "python3-prometheus-client"
    ) from error

log = logging.getLogger(__name__)


async def serve(bound: BoundService, engine: Engine) -> None:
    """Serve the status of an engine until cancelled."""
    feed = Feed(engine.status)
    recorder = Recorder(engine.ring, engine.slot_digests, engine.source_changed)
    digests = DigestStream(recorder, engine.source.identity)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed.run)
            nursery.start_soon(recorder.run)
            nursery.start_soon(Server(bound, WebApp(bound.access, feed, digests).app()).run)
    except* Exception:
        # A client must not be able to end the mount that it monitors.
        log.exception("the monitor service has ended, the mount continues: this is a bug")
