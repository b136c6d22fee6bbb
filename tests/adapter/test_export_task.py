"""The export's task beside an engine: what it tells the supervisor, which the test plays, and the engine."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from fanoutfs.engine.engine import Engine
from fanoutfs.layout import Layout
from fanoutfs.nbd import export_task
from fanoutfs.nbd.bind_export import BoundExport
from fanoutfs.nbd.export_task import export
from fanoutfs.settings import ExportSettings
from fanoutfs.status.document import ExportEntry
from fanoutfs.system.pipe import MessagePipe, message_pipes
from fanoutfs.system.supervisor import Supervisor
from fanoutfs.units import PAGE
from tests.limits import HANG_SECONDS
from tests.rig.hanging import LIMIT

WHOLE = Layout.whole(10 * PAGE, PAGE)

SHOWN = ExportEntry(host="127.0.0.1", port=10809, name="image", tls="none")


def make_engine(layout: Layout = WHOLE) -> Any:
    session = SimpleNamespace(point=Path("/mnt"), ended=trio.Event())
    source = SimpleNamespace(identity="disk-8:16", origin=None)
    events = {"mounted": trio.Event(), "end_requested": trio.Event()}
    ring = SimpleNamespace(layout=layout)
    engine: Any = SimpleNamespace(session=session, source=source, ring=ring, export=None, **events)
    engine.exporting = partial(Engine.exporting, engine)
    return engine


@attrs.define(eq=False)
class Beside:
    """An export under way."""

    supervisor: MessagePipe
    engine: Any
    ended: trio.Event = attrs.field(factory=trio.Event)

    async def receive(self) -> dict[str, Any]:
        """Receive what the supervisor is told."""
        with trio.fail_after(HANG_SECONDS):
            await trio.lowlevel.wait_readable(self.supervisor.fileno())
        return self.supervisor.receive(0)


@asynccontextmanager
async def exporting() -> AsyncIterator[Beside]:
    """Run it; the supervisor hangs up at the end, if it has not before."""
    supervisor, pipe = message_pipes()
    settings = ExportSettings(host="127.0.0.1", port=10809)
    beside = Beside(supervisor, make_engine())

    async def run() -> None:
        await export(BoundExport(Supervisor(pipe, pid=0), settings), beside.engine)
        beside.ended.set()

    with trio.fail_after(HANG_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await trio.testing.wait_all_tasks_blocked()
            yield beside
            nursery.cancel_scope.cancel()
            supervisor.close()
    pipe.close()


async def begun(beside: Beside) -> None:
    beside.engine.mounted.set()
    begin = {"begin": "/mnt/.fanoutfs/direct", "description": "fanoutfs disk-8:16", "data": None}
    assert begin == await beside.receive()
    await trio.testing.wait_all_tasks_blocked()


async def test_it_begins_with_the_mount() -> None:
    """Not before that answers; the status shows it then."""
    async with exporting() as beside:
        assert beside.engine.export is None
        await begun(beside)
        assert SHOWN == beside.engine.export


@pytest.mark.parametrize("by", ["session.ended", "end_requested"])
async def test_it_ends_with_the_mount(by: str) -> None:
    """And waits for the supervisor, so that the address is free when the engine has ended."""
    async with exporting() as beside:
        await begun(beside)
        where, _, what = by.rpartition(".")
        getattr(getattr(beside.engine, where) if where else beside.engine, what).set()
        assert {"end": True} == await beside.receive()
        await trio.testing.wait_all_tasks_blocked()
        assert beside.engine.export is None
        assert not beside.ended.is_set()
        beside.supervisor.close()
        await beside.ended.wait()


async def test_a_supervisor_that_is_stopped_is_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The daemon ends without it, and the log says so."""
    monkeypatch.setattr(export_task, "END_SECONDS", LIMIT)
    async with exporting() as beside:
        await begun(beside)
        beside.engine.end_requested.set()
        await beside.ended.wait()
    assert f"nbdkit's supervisor has not ended within {LIMIT} seconds; leaving it" in caplog.messages


async def test_an_engine_that_never_mounts_ends_it_too() -> None:
    """The supervisor is told, and has nothing to begin."""
    supervisor, pipe = message_pipes()
    opened = BoundExport(Supervisor(pipe, pid=0), ExportSettings(host="127.0.0.1", port=10809))
    engine = trio.CancelScope()

    async def run() -> None:
        with engine:
            await export(opened, make_engine())

    with trio.fail_after(HANG_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await trio.testing.wait_all_tasks_blocked()
            engine.cancel()
            await trio.testing.wait_all_tasks_blocked()
            assert {"end": True} == supervisor.receive(0)
            supervisor.close()
    pipe.close()


async def test_an_end_of_nbdkit_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """With its last words, and when it begins again; the export goes on."""
    async with exporting() as beside:
        await begun(beside)
        beside.supervisor.send(ended="signal 9: no output", again=2)
        await trio.testing.wait_all_tasks_blocked()
        assert ["nbdkit has ended (signal 9: no output); it is restarted in 2 s"] == [
            record.getMessage() for record in caplog.records if record.levelno == logging.WARNING
        ]
        assert SHOWN == beside.engine.export


@pytest.mark.parametrize("word", [None, "its supervisor failed: this is wrong"])
async def test_a_keeper_that_has_gone_costs_the_export_alone(
    word: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The mount goes on; the status says that nothing is exported."""
    async with exporting() as beside:
        await begun(beside)
        if word is not None:
            beside.supervisor.send(error=word)
        beside.supervisor.close()
        await beside.ended.wait()
        assert beside.engine.export is None
        (said,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert said.startswith("the export over NBD has ended: ")
        assert said.endswith(word or "supervisor has ended")
