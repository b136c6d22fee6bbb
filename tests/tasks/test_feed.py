"""The feed of snapshots on trio's clock: how often it is made, and which clients get it."""

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fanoutfs.status.document import StatusDocument
from fanoutfs.web.feed import PER_SECOND, QUIET_SECONDS, Feed, Snapshot, pause
from tests.documents import document
from tests.tasks.rig import background


@attrs.define(eq=False)
class Busy:
    """A status that changes each time it is made, and takes ``seconds`` to make."""

    seconds: float = 0.0
    changes: bool = True
    looks: int = 0

    def look(self) -> StatusDocument:
        self.looks += 1
        return document(head=self.looks if self.changes else 0)

    def feed(self) -> Feed:
        return Feed(self.look, stopwatch=lambda: self.looks * self.seconds)


async def hear(feed: Feed, heard: list[Snapshot], pace: float = 0.0) -> None:
    feed.clients += 1
    while True:
        heard.append(await feed.next())
        await trio.sleep(pace)


@pytest.mark.parametrize(
    ("clients", "seconds", "expected"),
    [(0, 0.0, 0.2), (1, 0.001, 0.2), (10, 0.0, 0.2), (50, 0.0, 1.0), (100, 0.0, 2.0), (1, 0.01, 0.5)],
)
def test_a_status_that_costs_more_is_made_less_often(clients: int, seconds: float, expected: float) -> None:
    """Five times a second at most; less for many clients, and for a status that takes long."""
    assert expected == pytest.approx(pause(clients, seconds))


async def test_all_clients_get_one_snapshot(autojump_clock: MockClock) -> None:
    """Ten clients for two seconds: ten snapshots are made, not a hundred."""
    busy = Busy()
    feed = busy.feed()
    heard: list[list[Snapshot]] = [[] for _ in range(10)]
    async with background(feed.run) as nursery:
        for each in heard:
            nursery.start_soon(hear, feed, each)
        await trio.sleep(1.99)

    assert busy.looks == 2 * PER_SECOND
    assert all(each == heard[0] for each in heard)
    assert len(heard[0]) == 2 * PER_SECOND


async def test_a_slow_client_skips_and_delays_no_other(autojump_clock: MockClock) -> None:
    """It gets the latest snapshot when it is ready again."""
    busy = Busy()
    feed = busy.feed()
    fast: list[Snapshot] = []
    slow: list[Snapshot] = []
    async with background(feed.run) as nursery:
        nursery.start_soon(hear, feed, fast)
        nursery.start_soon(hear, feed, slow, 0.9)
        await trio.sleep(1.95)

    assert [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] == [snapshot.document.head for snapshot in fast]
    assert [1, 6] == [snapshot.document.head for snapshot in slow]


async def test_an_unchanged_status_is_sent_seldom(autojump_clock: MockClock) -> None:
    """Every QUIET_SECONDS, so a client knows that the service is alive."""
    feed = Busy(changes=False).feed()
    heard: list[Snapshot] = []
    async with background(feed.run) as nursery:
        nursery.start_soon(hear, feed, heard)
        await trio.sleep(5.1 * QUIET_SECONDS)

    assert len(heard) == 6


async def test_without_clients_no_status_is_made(autojump_clock: MockClock) -> None:
    """The engine is left alone."""
    busy = Busy()
    async with background(busy.feed().run):
        await wait_all_tasks_blocked()
        await trio.sleep(100)

    assert busy.looks == 0


@pytest.mark.parametrize(("seconds", "asked", "looks"), [(0.0, 100, {PER_SECOND}), (0.02, 301, {3, 4})])
async def test_a_snapshot_that_is_asked_for_often_is_made_seldom(
    seconds: float, asked: int, looks: set[int], autojump_clock: MockClock
) -> None:
    """Five times a second; and it may take a fiftieth of the time: once a second if it takes 20 ms."""
    busy = Busy(seconds=seconds)
    feed = busy.feed()
    for _ in range(asked):
        feed.now()
        await trio.sleep(0.01)

    assert busy.looks in looks


async def test_a_rate_is_not_an_average_over_a_time_without_clients(autojump_clock: MockClock) -> None:
    """After an hour without a client the rate is unknown until the second snapshot."""
    feed = Busy().feed()
    feed.now()
    await trio.sleep(1)
    assert b'"source-rate":"0 B/s"' in feed.now().event
    await trio.sleep(3600)
    assert b'"source-rate":"-"' in feed.now().event
