"""The feed of snapshots on trio's clock: how often is looked, and who hears it."""

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fanoutfs.status.document import StatusDocument
from fanoutfs.web.feed import PER_SECOND, QUIET_SECONDS, Feed, Snapshot, pause
from tests.documents import document


@attrs.define(eq=False)
class Busy:
    """A status that is another one whenever it is looked at, and takes so many seconds to look at."""

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
def test_the_more_it_costs_the_less_often_it_is(clients: int, seconds: float, expected: float) -> None:
    """Five a second at most; less for many clients, and for a status that takes long."""
    assert expected == pytest.approx(pause(clients, seconds))


async def test_all_clients_hear_one_look(autojump_clock: MockClock) -> None:
    """Ten clients for two seconds: ten looks, not a hundred."""
    busy = Busy()
    feed = busy.feed()
    heard: list[list[Snapshot]] = [[] for _ in range(10)]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        for each in heard:
            nursery.start_soon(hear, feed, each)
        await trio.sleep(1.99)
        nursery.cancel_scope.cancel()

    assert busy.looks == 2 * PER_SECOND
    assert all(each == heard[0] for each in heard)
    assert len(heard[0]) == 2 * PER_SECOND


async def test_a_slow_client_skips_and_holds_nobody(autojump_clock: MockClock) -> None:
    """It hears the latest when it is ready again."""
    busy = Busy()
    feed = busy.feed()
    fast: list[Snapshot] = []
    slow: list[Snapshot] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        nursery.start_soon(hear, feed, fast)
        nursery.start_soon(hear, feed, slow, 0.9)
        await trio.sleep(1.95)
        nursery.cancel_scope.cancel()

    assert [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] == [snapshot.document.head for snapshot in fast]
    assert [1, 6] == [snapshot.document.head for snapshot in slow]


async def test_where_nothing_changes_little_is_said(autojump_clock: MockClock) -> None:
    """Once a second, so that a client knows that somebody is there."""
    feed = Busy(changes=False).feed()
    heard: list[Snapshot] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(feed.run)
        nursery.start_soon(hear, feed, heard)
        await trio.sleep(5.1 * QUIET_SECONDS)
        nursery.cancel_scope.cancel()

    assert len(heard) == 6


async def test_with_nobody_there_it_does_not_look(autojump_clock: MockClock) -> None:
    """The engine is left alone."""
    busy = Busy()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(busy.feed().run)
        await wait_all_tasks_blocked()
        await trio.sleep(100)
        nursery.cancel_scope.cancel()

    assert busy.looks == 0


async def test_those_who_ask_at_once_get_one_look(autojump_clock: MockClock) -> None:
    """A snapshot is asked for as often as one likes, and made five times a second."""
    busy = Busy()
    feed = busy.feed()
    for _ in range(100):
        feed.now()
        await trio.sleep(0.01)

    assert busy.looks == PER_SECOND


async def test_a_status_that_takes_long_is_looked_at_seldom(autojump_clock: MockClock) -> None:
    """It may take a fiftieth of the time: 20 ms are looked at once a second."""
    busy = Busy(seconds=0.02)
    feed = busy.feed()
    for _ in range(301):
        feed.now()
        await trio.sleep(0.01)

    assert busy.looks in (3, 4)
