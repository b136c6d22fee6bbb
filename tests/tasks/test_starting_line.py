"""The beginning of a pipe waits for readers that are started together."""

import contextlib

import pytest
import trio
from trio.testing import MockClock

from fanoutfs.engine.starting_line import LINE_SECONDS, PREPARE_SECONDS, StartingLine
from tests.tasks.rig import Rig, background, make_rig, read

SLOTS = 8


@pytest.fixture
def rig() -> Rig:
    made = make_rig(slots=SLOTS, seconds=0.001, patience=60.0)
    made.ring.go_in_order(0, 0)
    return made


async def seconds_kept(rig: Rig, line: StartingLine) -> float:
    """Return how long a reader that is alone waits at the end of the ring."""
    begun = trio.current_time()
    reader = rig.open()
    with contextlib.closing(reader):
        await read(reader, 0, 2 * SLOTS * rig.ring.block)
    return trio.current_time() - begun


async def test_the_beginning_is_kept_for_some_seconds(rig: Rig, autojump_clock: MockClock) -> None:
    """A reader that starts within them gets everything; the first one does not run away."""
    line = StartingLine(rig.ring)
    async with background(rig.produce, line.run):
        kept = await seconds_kept(rig, line)

    assert kept == pytest.approx(LINE_SECONDS, abs=0.5)


@pytest.mark.parametrize(
    ("after", "kept"), [(0.5, 0.5), (30.0, 30.0), (1000.0, PREPARE_SECONDS)], ids=["soon", "late", "never"]
)
async def test_it_is_kept_for_the_targets_of_a_copy(
    after: float, kept: float, rig: Rig, autojump_clock: MockClock
) -> None:
    """Until all have joined, and no longer; but not for ever."""
    line = StartingLine(rig.ring)

    async def join() -> None:
        await trio.sleep(after)
        line.started("copy")

    with line.awaited_by("copy"):
        async with background(rig.produce, line.run, join):
            found = await seconds_kept(rig, line)

    assert found == pytest.approx(kept, abs=0.5)


async def test_other_sources_have_none(autojump_clock: MockClock) -> None:
    """They can be read again."""
    rig = make_rig(slots=SLOTS, seconds=0.001)
    line = StartingLine(rig.ring)
    async with background(rig.produce, line.run):
        assert await seconds_kept(rig, line) < 1
