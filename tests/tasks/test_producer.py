"""The producer with a real source, on trio's clock: what it reads, and how fast."""

import threading
from collections.abc import AsyncIterator, Container
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fanoutfs.errors import SourceBrokeError, SourceHungError
from fanoutfs.producer import Producer
from fanoutfs.ring.decision import Read
from fanoutfs.ring.observer import Observer
from fanoutfs.source.counters import Counters
from fanoutfs.source.faulty import FaultySource
from fanoutfs.source.pattern import PatternSource
from fanoutfs.source.pieces import LEAST
from fanoutfs.source.rate_limit import RateLimit
from fanoutfs.source.spool import Spool
from fanoutfs.units import PAGE
from tests.scratched import Scratched
from tests.tasks.rig import Rig, background, fails, make_rig, read, read_all, timed

RUN = 2
BLOCKS = 40


@asynccontextmanager
async def producing(rig: Rig, rate: RateLimit, bad: frozenset[int] = frozenset()) -> AsyncIterator[Counters]:
    """Run a producer that reads the rig's content."""
    statistics = Counters()
    async with background(Producer(Scratched(rig.content, bad), rig.ring, statistics, rate).run):
        yield statistics


@pytest.mark.parametrize("size", [BLOCKS * PAGE, (BLOCKS - 1) * PAGE + 123])
async def test_what_it_reads_is_the_source(size: int, autojump_clock: MockClock) -> None:
    """To the last byte, once, in runs of two blocks."""
    rig = make_rig(size, run=RUN)
    async with producing(rig, RateLimit()) as statistics:
        got = await read_all(rig.open(), PAGE)

    assert got == rig.content
    assert (statistics.bytes_read, statistics.reads, statistics.errors) == (size, BLOCKS // RUN, 0)


@pytest.mark.parametrize("seconds_for_all", [0.5, 40.0])
async def test_a_limited_source_is_read_no_faster(seconds_for_all: float, autojump_clock: MockClock) -> None:
    """N bytes take (N - one run) / rate seconds: the first run does not wait."""
    rig = make_rig(BLOCKS * PAGE, run=RUN)
    async with producing(rig, RateLimit(BLOCKS * PAGE / seconds_for_all)):
        got, took = await timed(read_all(rig.open(), PAGE))

    assert got == rig.content
    assert took == pytest.approx(seconds_for_all * (BLOCKS - RUN) / BLOCKS)


async def test_readers_near_one_another_share_the_rate(autojump_clock: MockClock) -> None:
    """Four take as long as one: reads of resident blocks do not count."""
    rig = make_rig(BLOCKS * PAGE, run=RUN)
    async with producing(rig, RateLimit(BLOCKS * PAGE / 40.0)) as statistics:
        begun = trio.current_time()
        async with trio.open_nursery() as readers:
            for piece in (512, PAGE, 3 * PAGE, 1000):
                readers.start_soon(read_all, rig.open(), piece)
        took = trio.current_time() - begun

    assert statistics.bytes_read == BLOCKS * PAGE
    assert took == pytest.approx(40.0 * (BLOCKS - RUN) / BLOCKS)


async def test_detours_count_against_the_rate(autojump_clock: MockClock) -> None:
    """Ten probes of a block each, one after the other, take as long as ten blocks do."""
    rig = make_rig(BLOCKS * PAGE, run=RUN)
    async with producing(rig, RateLimit(BLOCKS * PAGE / 40.0)):
        begun = trio.current_time()
        for i in range(10):
            probe = rig.open()
            await read(probe, (3 * i + 1) * PAGE, 10)
            probe.close()
        took = trio.current_time() - begun

    assert took == pytest.approx(9.0)


async def test_waiting_for_the_rate_is_no_hanging_source(autojump_clock: MockClock) -> None:
    """A read that waits long because of the rate limit gets bytes, not an error."""
    rig = make_rig(4 * PAGE, slots=2, run=1)
    consumer = rig.open()
    got = []

    async def wait() -> None:
        got.append(bytes(await read(consumer, PAGE, PAGE)))

    async with producing(rig, RateLimit(PAGE / 100.0)), trio.open_nursery() as nursery:
        await read(consumer, 0, PAGE)
        nursery.start_soon(wait)
        # No thread reads during these seconds: this clock does not wait for threads.
        await trio.sleep(50.0)
        assert len(rig.ring.waiting()) == 1
        rig.ring.source_hangs(30.0, 0)

    assert got == [rig.content[PAGE : 2 * PAGE]]


async def test_the_decision_is_made_when_the_source_may_be_read(autojump_clock: MockClock) -> None:
    """A request made while the producer waits for its rate is served next, if nearest ahead of the head."""
    rig = make_rig(BLOCKS * PAGE, run=RUN)
    async with producing(rig, RateLimit(2 * PAGE / 10.0)):
        first, late = rig.open(), rig.open()
        await read(first, 0, PAGE)
        await trio.sleep(5.0)
        first.close()
        _, took = await timed(read(late, 20 * PAGE, PAGE))

    assert took == pytest.approx(5.0)


@attrs.define(eq=False)
class Seen(Observer):
    """An observer that records how long reads are."""

    lengths: list[int] = attrs.field(factory=list)

    def filled(self, read: Read, bad: Container[int]) -> None:  # noqa: ARG002 (an observer gets it)
        self.lengths.append(len(read.slots))


async def test_a_long_read_ends_early(autojump_clock: MockClock) -> None:
    """What it has is given to readers; the rest is read next, and no slot is lost."""
    blocks, first = 200, LEAST // PAGE
    rig = make_rig(blocks * PAGE, slots=blocks, run=40)
    statistics = Counters()
    seen = Seen()
    rig.ring.observers.add(seen)
    producer = Producer(Scratched(rig.content), rig.ring, statistics, long_seconds=0.0)
    async with background(producer.run):
        got = await read_all(rig.open(), PAGE)

    assert got == rig.content
    assert seen.lengths[0] == first
    assert sum(seen.lengths) == blocks
    residency = rig.ring.rules.residency
    assert residency.free + len(residency.slot_of) == blocks


async def test_a_bad_page_is_logged(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    """The rest of its run is read, it alone is an error, and the log names its bytes."""
    rig = make_rig(BLOCKS * PAGE, run=RUN)
    async with producing(rig, RateLimit(), frozenset([5])) as statistics:
        consumer = rig.open()
        assert bytes(await read(consumer, 4 * PAGE, PAGE)) == rig.content[4 * PAGE : 5 * PAGE]
        await fails(SourceBrokeError, consumer, 5 * PAGE, 1)

    assert statistics.errors >= 1
    assert f"from byte {5 * PAGE} to before {6 * PAGE}" in caplog.text
    caplog.clear()


MOST_LOOKS = 10_000


@attrs.define(eq=False)
class Hangs(PatternSource):
    """A pattern of which page 5 is not answered at first."""

    reached: threading.Event = attrs.field(factory=threading.Event)
    answers: threading.Event = attrs.field(factory=threading.Event)

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        if offset <= 5 * PAGE < offset + length and not self.answers.is_set():
            self.reached.set()
            self.answers.wait()
            for slot in slots:
                slot[:] = b"too late" * (len(slot) // 8)
            return
        PatternSource.read_into(self, offset, length, slots)


async def test_a_read_that_hangs_is_given_up() -> None:
    """Its blocks are errors while it may still write to their slots; all others are read, and later these."""
    rig = make_rig(BLOCKS * PAGE, slots=8, run=2)
    source = Hangs("pattern", BLOCKS * PAGE)
    producer = Producer(source, rig.ring, Counters())
    first, second = rig.open(), rig.open()
    async with background(producer.run) as nursery:
        nursery.start_soon(fails, SourceHungError, first, 5 * PAGE)
        await trio.to_thread.run_sync(source.reached.wait)
        assert producer.give_up("it is slow")
        for _ in range(2):
            for page in (0, 20, 39, 10, 30):
                place = slice(page * PAGE, (page + 1) * PAGE)
                assert rig.content[place] == bytes(await read(second, page * PAGE, PAGE))
        rig.ring.source_hangs(0.0, 0)
        nursery.start_soon(fails, SourceHungError, second, 5 * PAGE + 1, 100)
        await wait_all_tasks_blocked()
        rig.ring.source_hangs(0.0, 0)
        held = len(rig.ring.bad_blocks.hung)
        assert 5 in rig.ring.rules.residency.slot_of
        source.answers.set()
        for _ in range(MOST_LOOKS):
            await trio.sleep(0.005)
            if not rig.ring.bad_blocks.hung:
                break
        assert rig.content == await read_all(rig.open(), PAGE)
        assert not rig.ring.rules.granted

    assert 1 <= held <= 2


def test_sources_that_two_threads_may_read() -> None:
    """Reads of others are never given up."""
    pattern = PatternSource("pattern", PAGE)
    assert pattern.overlaps
    assert FaultySource(FaultySource(pattern, "eio@0"), "delay=1s").overlaps
    assert not Spool.around(pattern, Path("/dev/shm")).overlaps
