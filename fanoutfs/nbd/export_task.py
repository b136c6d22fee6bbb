"""The export as an engine's background task: tell nbdkit's supervisor when the mount begins and ends."""

import logging
from tempfile import NamedTemporaryFile

import trio

from fanoutfs.engine.engine import Engine
from fanoutfs.layout import Layout
from fanoutfs.nbd.bind_export import BoundExport
from fanoutfs.nbd.nbdkit import data_list
from fanoutfs.remote.announcement import DESCRIBED
from fanoutfs.system.pipe import MessagePipe
from fanoutfs.system.runtime_dir import runtime_folder

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
            data=await trio.to_thread.run_sync(_write_data_list, engine.ring.layout),
        )
        log.info("the image is exported at %s over NBD, TLS: %s", opened.settings, opened.settings.tls)
        if (warning := opened.settings.open_to_all) is not None:
            log.info("%s", warning)
        with engine.exporting(opened.shown):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_log_reports, pipe, nursery.cancel_scope)
                nursery.start_soon(_end_with, engine.session.ended, nursery.cancel_scope)
                nursery.start_soon(_end_with, engine.end_requested, nursery.cancel_scope)
    finally:
        with trio.CancelScope(shield=True):
            await _end(pipe)


def _write_data_list(layout: Layout) -> str | None:
    """Write what of the image is no hole to a file for nbdkit; return its path, None if all is data."""
    if layout.is_whole:
        return None
    with NamedTemporaryFile("w", prefix="data-", dir=runtime_folder(), delete=False) as file:
        file.write(data_list(layout.data()))
    return file.name


async def _log_reports(pipe: MessagePipe, export: trio.CancelScope) -> None:
    """Log what the supervisor reports; cancel the export when the supervisor has ended."""
    while message := await _receive(pipe):
        if "error" in message:
            break
        log.warning("nbdkit has ended (%s); it is restarted in %g s", message["ended"], message["again"])
    log.warning("the export over NBD has ended: %s", message.get("error", "nbdkit's supervisor has ended"))
    export.cancel()


async def _receive(pipe: MessagePipe) -> dict[str, object]:
    await trio.lowlevel.wait_readable(pipe.fileno())
    return pipe.receive(0)


async def _end_with(ended: trio.Event, export: trio.CancelScope) -> None:
    await ended.wait()
    export.cancel()


async def _end(pipe: MessagePipe) -> None:
    """Tell the supervisor to end, and wait until it has."""
    pipe.send(end=True)
    with trio.move_on_after(END_SECONDS) as waiting:
        while await _receive(pipe):
            pass
    if waiting.cancelled_caught:
        log.warning("nbdkit's supervisor has not ended within %g seconds; leaving it", END_SECONDS)
