"""A producer that signals ask to end, on a clock that stands still unless the test moves it."""

import os
import signal
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fanoutfs.engine.engine import DRAIN_SECONDS, END_SECONDS, Engine
from fanoutfs.errors import ClosingError
from fanoutfs.fuse.reader import Reader
from fanoutfs.settings import Settings
from fanoutfs.units import PAGE
from tests.scratched import Scratched

if TYPE_CHECKING:
    from fanoutfs.fuse.session import Session

CONTENT = bytes(20 * PAGE)


async def becomes(condition: Callable[[], bool]) -> None:
    """Wait for what a thread or a signal brings about; the test's clock stands meanwhile."""
    while not condition():
        await trio.to_thread.run_sync(time.sleep, 0.001)


async def read_all(consumer: Reader, failed: trio.Event) -> None:
    try:
        for place in range(0, len(CONTENT), PAGE):
            await consumer.read(place, PAGE)
    except ClosingError:
        failed.set()


async def request_end(engine: Engine, nursery: trio.Nursery) -> trio.Event:
    """Make one reader wait for the other, and send SIGTERM; return the event that the reader's error sets."""
    ring, failed = engine.ring, trio.Event()
    behind, front = (Reader(ring, number, os.getpid(), "test") for number in (1, 2))
    await behind.read(0, PAGE)
    nursery.start_soon(read_all, front, failed)
    await becomes(lambda: bool(ring.waiting()) and ring.rules.waits(ring.clock()) == {2: 1})
    os.kill(os.getpid(), signal.SIGTERM)
    await becomes(engine.end_requested.is_set)
    return failed


def engine_of_two_slots() -> Engine:
    return Engine(Settings(block=PAGE, ring=2 * PAGE, patience=300), Scratched(CONTENT))


async def test_a_read_that_waits_has_some_seconds(mock_clock: MockClock) -> None:
    """Before them it waits on, after them it fails, and the producer ends."""
    engine = engine_of_two_slots()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.run, trio.sleep_forever)
        failed = await request_end(engine, nursery)
        await wait_all_tasks_blocked()
        mock_clock.jump(0.99 * DRAIN_SECONDS)
        await wait_all_tasks_blocked()
        assert not failed.is_set()
        mock_clock.jump(0.02 * DRAIN_SECONDS)
        await failed.wait()


async def test_a_session_that_does_not_end(mock_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """It is left behind after its time, with a line in the log."""
    engine, ends, began = engine_of_two_slots(), trio.Event(), trio.current_time()
    stays = SimpleNamespace(refuse_opens=lambda: None, end=ends.set, ended=trio.Event())
    engine.session = cast("Session", stays)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.run, trio.sleep_forever)
        await wait_all_tasks_blocked()
        os.kill(os.getpid(), signal.SIGTERM)
        await becomes(ends.is_set)
        await wait_all_tasks_blocked()
        assert not caplog.records
        mock_clock.jump(END_SECONDS)

    assert END_SECONDS == trio.current_time() - began
    assert "the session has not ended within 5 seconds; leaving it" in caplog.text


async def test_a_second_signal_spares_these_seconds(mock_clock: MockClock) -> None:
    """The read fails though no time has passed."""
    engine, began = engine_of_two_slots(), trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.run, trio.sleep_forever)
        failed = await request_end(engine, nursery)
        os.kill(os.getpid(), signal.SIGTERM)
        await failed.wait()

    assert trio.current_time() == began
