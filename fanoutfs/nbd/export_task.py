"""The export as an engine's background task: tell nbdkit's supervisor when the mount begins and ends."""

import logging

import trio

from fanoutfs.engine.engine import Engine
from fanoutfs.nbd.bind_export import BoundExport
from fanoutfs.remote.announcement import DESCRIBED
from fanoutfs.system.pipe import MessagePipe

log = logging.getLogger(__name__)

END_SECONDS = 5.0
"""How long the supervisor may take to end nbdkit and itself."""


async def export(opened: BoundExport, engine: Engine) -> None:
    """Export the image from when the engine's mount answers until the mount or the engine ends.

    Cancelled: the export ends, too. Returns once the address is free.
    """
    pipe = opened.supervisor.pipe
    try:
        await engine.mounted.wait()
        if engine.session is None:
            return
        source = engine.source
        pipe.send(
            begin=str(engine.session.point / ".fanoutfs" / "direct"),
            description=DESCRIBED + (source.origin or source.identity),
        )
        log.info("the image is exported at %s over NBD, TLS: %s", opened.settings, opened.settings.tls)
        if (said := opened.settings.open_to_all) is not None:
            log.info("%s", said)
        with engine.exporting(opened.shown):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_hear, pipe, nursery.cancel_scope)
                nursery.start_soon(_end_with, engine.session.ended, nursery.cancel_scope)
                nursery.start_soon(_end_with, engine.told_to_end, nursery.cancel_scope)
    finally:
        with trio.CancelScope(shield=True):
            await _end(pipe)


async def _hear(pipe: MessagePipe, all_of_it: trio.CancelScope) -> None:
    """Log what the supervisor reports."""
    while message := await _hear_next(pipe):
        if "error" in message:
            break
        log.warning("nbdkit has ended (%s); it begins again in %g s", message["ended"], message["again"])
    log.warning(
        "nobody can read over NBD any more: %s", message.get("error", "nbdkit's supervisor has ended")
    )
    all_of_it.cancel()


async def _hear_next(pipe: MessagePipe) -> dict[str, object]:
    await trio.lowlevel.wait_readable(pipe.fileno())
    return pipe.receive(0)


async def _end_with(ended: trio.Event, all_of_it: trio.CancelScope) -> None:
    await ended.wait()
    all_of_it.cancel()


async def _end(pipe: MessagePipe) -> None:
    """Tell the supervisor to end, and wait until it has."""
    pipe.send(end=True)
    with trio.move_on_after(END_SECONDS) as waiting:
        while await _hear_next(pipe):
            pass
    if waiting.cancelled_caught:
        log.warning("nbdkit's supervisor has not ended within %g seconds; leaving it", END_SECONDS)
