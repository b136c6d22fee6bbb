"""Some hundred hostile sessions on a control socket, beside copies: nobody is harmed by them."""

import logging
import os

import pytest
import trio

from fanoutfs.engine import conduct
from tests.adapter.producers import CONTENT, Served, in_thread, producer
from tests.rig.hostile import HostileSession, sessions

SESSIONS = 150
SEEDS = (1, 2, pytest.param(int(os.environ.get("FANOUTFS_SEED", "3")), marks=pytest.mark.soak))


async def copy_until(served: Served, over: trio.Event) -> list[bool]:
    """Copy again and again, twice at least; return which copies were right."""
    right: list[bool] = []
    while not over.is_set() or len(right) < 2:
        right.append(await in_thread(served.copy) == CONTENT)
    return right


@pytest.mark.parametrize("seed", SEEDS)
async def test_hostile_sessions_harm_nobody(
    seed: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """All copies beside them are right, nothing is held in the end, and no line of the log is a bug's."""
    # All of these sessions are one process, which would be barred after the third.
    monkeypatch.setattr(conduct, "MOST_OFFENCES", 1_000_000)
    monkeypatch.setattr(conduct, "BURST", 1_000_000)
    right: list[bool] = []
    made: list[HostileSession] = []
    over = trio.Event()

    async def copy(served: Served) -> None:
        right.extend(await copy_until(served, over))

    async with producer() as served:
        await in_thread(served.copy)
        await served.becomes(served.is_idle)
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (names are enough)
        async with trio.open_nursery() as copies:
            copies.start_soon(copy, served)
            copies.start_soon(copy, served)
            made += await in_thread(lambda: list(sessions(served.path, seed, SESSIONS)))
            over.set()
        await served.becomes(served.is_idle)
        # The first copy's connection may have counted: it is closed after what it held.
        await served.becomes(lambda: len(os.listdir("/proc/self/fd")) <= before)  # noqa: PTH208
        gauges = served.engine.status().gauges

    assert all(right)
    assert [breach for session in made for breach in session.breaches] == []
    assert (gauges.handles, gauges.waiting, gauges.slots_held, gauges.granted) == (0, 0, 0, 0)
    severe = [record.message for record in caplog.records if record.levelno > logging.WARNING]
    assert severe == []
