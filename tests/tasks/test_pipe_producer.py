"""The producer with a pipe: each byte is taken once, in order; what is gone is an error."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from fanoutfs.errors import GoneError, SourceBrokeError, SourceHungError
from fanoutfs.producer import Producer
from fanoutfs.ring.observer import Observer
from fanoutfs.source import spool as spools
from fanoutfs.source.contract import Source
from fanoutfs.source.counters import Counters
from fanoutfs.source.spool import Spool
from fanoutfs.units import PAGE
from tests.adapter.test_spool import full_after
from tests.limits import HANG_SECONDS
from tests.pipes import open_pipe, written
from tests.tasks.rig import Rig, background, fails, make_rig, pattern, read, read_all

SLOTS = 8


def rig_on(size: int = 40 * PAGE) -> Rig:
    rig = make_rig(size, SLOTS)
    # Threads and pipes take real time.
    rig.ring.clock = trio.current_time
    return rig


@asynccontextmanager
async def producing(rig: Rig, source: Source) -> AsyncIterator[Counters]:
    statistics = Counters()
    with trio.fail_after(HANG_SECONDS):
        async with background(Producer(source, rig.ring, statistics).run):
            yield statistics
    source.close()


@pytest.mark.parametrize("size", [40 * PAGE, 39 * PAGE + 123, PAGE, 5])
async def test_readers_that_start_together_get_all_of_a_pipe(size: int) -> None:
    """Through a ring that is much smaller; the pipe is read once."""
    rig = rig_on(size)
    source = written(rig.content, size)
    got: list[bytes] = []

    async def one(piece: int) -> None:
        got.append(await read_all(readers.pop(), piece))

    async with producing(rig, source) as statistics:
        readers = [rig.open() for _ in range(4)]
        async with trio.open_nursery() as nursery:
            for piece in (1000, PAGE, 3 * PAGE, 2 * PAGE):
                nursery.start_soon(one, piece)

    assert [True] * 4 == [content == rig.content for content in got]
    assert statistics.bytes_read == source.consumed == size


async def test_a_late_reader_of_a_pipe_has_an_error() -> None:
    """The beginning is gone when it comes: that is known before it reads, and at the read."""
    rig = rig_on()
    async with producing(rig, written(rig.content, len(rig.content))):
        early = rig.open()
        rig.ring.rules.require_beginning()
        await read_all(early, PAGE)

        with pytest.raises(GoneError, match="its beginning has gone by"):
            rig.ring.rules.require_beginning()
        await fails(GoneError, rig.open(), 0, 40 * PAGE)


async def test_a_probe_of_the_end_of_a_pipe_does_not_read_it() -> None:
    """It has an error at once, and the reader in order goes on."""
    rig = rig_on()
    async with producing(rig, written(rig.content, len(rig.content))):
        reader = rig.open()
        await read(reader, 0, PAGE)
        await fails(GoneError, rig.open(), 39 * PAGE)
        reader.close()
        assert await read_all(rig.open(), PAGE) == rig.content


async def test_with_a_spool_any_reader_of_a_pipe_gets_everything(tmp_path: Path) -> None:
    """Of the end first, then one from the beginning, then one after the end; the pipe is read once."""
    rig = rig_on()
    source = Spool.around(written(rig.content, len(rig.content)), tmp_path)
    async with producing(rig, source):
        for _ in range(2):
            assert await read(rig.open(), 39 * PAGE, 100) == rig.content[39 * PAGE :][:100]
            assert await read_all(rig.open(), PAGE) == rig.content
            assert await read_all(rig.open(7 * PAGE), PAGE) == rig.turned(7 * PAGE)

    assert source.taken == len(rig.content)


async def test_a_pipe_that_ends_early_is_an_error_for_its_readers() -> None:
    """Never a short file; what came before is right, and the error stays."""
    rig = rig_on()
    async with producing(rig, written(rig.content[: 20 * PAGE], len(rig.content))):
        reader = rig.open()
        assert await read(reader, 0, 20 * PAGE) == rig.content[: 20 * PAGE]
        for _ in range(2):
            with pytest.raises(SourceBrokeError, match=f"ended at byte {20 * PAGE} of {40 * PAGE}"):
                await read(reader, 20 * PAGE, PAGE)


async def test_a_pipe_that_hangs_fails_who_waits_for_it_alone(tmp_path: Path) -> None:
    """What is in the spool is still read; when the pipe goes on, everything is."""
    rig = rig_on()
    pipe, end = open_pipe(len(rig.content))
    source = Spool.around(pipe, tmp_path)
    async with producing(rig, source):
        os.write(end, rig.content[: 16 * PAGE])
        front, errors = rig.open(), []
        await read(front, 0, 16 * PAGE)

        async def wait() -> None:
            with pytest.raises(SourceHungError) as failure:
                await read(front, 16 * PAGE, PAGE)
            errors.append(failure.value)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            while rig.ring.rules.intake.dry_from is None:  # noqa: ASYNC110 (no event has it)
                await trio.sleep(0.001)
            for _ in range(2):
                other = rig.open()
                assert await read(other, 0, 16 * PAGE) == rig.content[: 16 * PAGE]
                other.close()
            while not errors:
                rig.ring.source_hangs(0.01, pipe.arrived)
                await trio.sleep(0.01)

        front.close()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, os.write, end, rig.content[16 * PAGE :])
            assert await read_all(rig.open(), PAGE) == rig.content
        os.close(end)


async def test_a_spool_that_is_full_leaves_a_pipe_to_those_who_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They get everything; a later reader gets what the spool has, and then an error."""
    monkeypatch.setattr(spools, "STEP", PAGE)
    full_after(3, monkeypatch)
    rig = rig_on()
    source = Spool.around(written(rig.content, len(rig.content)), tmp_path)
    async with producing(rig, source):
        assert await read_all(rig.open(), PAGE) == rig.content
        late = rig.open()
        kept = source.kept_from(0)
        assert PAGE <= kept < 20 * PAGE
        assert await read(late, 0, kept) == rig.content[:kept]
        await fails(GoneError, late, kept, 20 * PAGE)
        with pytest.raises(GoneError):
            rig.ring.rules.require_beginning()


async def test_the_end_of_a_pipe_is_found_by_the_producer() -> None:
    """The image was thought to be longer; it is as long as what came."""
    content = pattern(21 * PAGE + 17)
    rig = rig_on(100 * PAGE)
    found = trio.Event()

    class Told(Observer):
        def shortened(self) -> None:
            found.set()

    rig.ring.observers.add(Told())
    async with producing(rig, written(content)):
        cursor = rig.ring.open(1)
        got = b""
        while len(got) < len(content):
            rig.ring.move(cursor, len(got), sequential=True)
            got += bytes(await rig.ring.read(cursor, len(got), min(PAGE, rig.ring.size - len(got))))
        await found.wait()

    assert got == content
    assert (rig.ring.size, cursor.end) == (len(content), 22)
