"""Consumers of a producer in this process: both sides of the shared memory, and the control socket."""

import os
import threading
from typing import Any

import pytest
import trio

from fanoutfs.control.client import ControlConnection
from fanoutfs.control.messages import HungUpError, Message
from fanoutfs.errors import FanoutError, NoAnswerError
from fanoutfs.shm import borrower as borrower_module
from fanoutfs.shm.borrower import Borrower
from fanoutfs.shm.grant_table import GrantTable
from fanoutfs.shm.turn import Turn
from fanoutfs.units import PAGE
from tests.adapter.producers import BLOCKS, CONTENT, copy_rest, in_thread, producer, wait_for
from tests.limits import HANG_SECONDS
from tests.scratched import Scratched


async def test_many_copies_at_once() -> None:
    """Twenty threads, each with its own place and pace: all get the image."""
    contents = []

    async with producer() as served:

        async def copy() -> None:
            contents.append(await in_thread(served.copy))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(copy)
        await served.becomes(served.is_idle)

    assert contents == [CONTENT] * 20


async def test_where_a_turn_begins() -> None:
    """At the head, or at the block asked for if all from there to the head is in the ring."""
    async with producer() as served:
        rules = served.engine.ring.rules
        first = await in_thread(served.join)
        await in_thread(lambda: copy_rest(first, until=12))
        began, expected = [], []
        for distance in (None, -1, -3, 1, -12, 0):
            await served.rests()
            head = rules.head
            block = (head + (distance or 0)) % BLOCKS
            preferred = None if distance is None else block
            borrower = await in_thread(lambda start=preferred: served.join(preferred_start=start))
            began.append(borrower.turn)
            expected.append(block if distance in (-1, -3, 0) else head)
            borrower.close()
        first.close()

    assert began == [Turn(start, start) for start in expected]


async def test_a_copy_goes_on_with_another_producer() -> None:
    """From where the first one's end found it: the rest of the same turn."""
    content = bytearray(len(CONTENT))
    async with producer() as first:
        borrower = await in_thread(first.join)
        content[:] = await in_thread(lambda: copy_rest(borrower, content, until=17))
        turn = borrower.turn
        borrower.close()

    async with producer() as second:
        borrower = await in_thread(lambda: second.join(turn=turn))
        whole = await in_thread(copy_rest, borrower, content)
        borrower.close()
        read = second.engine.statistics.bytes_read

    assert turn == Turn(0, 17)
    assert whole == CONTENT
    assert read <= (BLOCKS - 17) * PAGE


async def test_one_that_takes_nothing_for_its_patience_loses_what_it_has() -> None:
    """The others go on; told so when it says that it has copied that, it copies it again, and ends right."""
    async with producer(patience=0.1) as served:
        stopped = await in_thread(served.join)
        count = await in_thread(stopped.wait, 3)
        other = await in_thread(served.copy)
        await served.becomes(lambda: not served.engine.ring.rules.granted)
        believed = await in_thread(stopped.free, count)
        content = await in_thread(copy_rest, stopped)
        stopped.close()
        await served.becomes(served.is_idle)

    assert count > 0
    assert other == CONTENT
    assert not believed
    assert content == CONTENT


async def test_stopped_between_the_welcome_and_the_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first epoch is over before it has seen the table: it knows that what it was granted is no more."""
    see = GrantTable.attach
    epochs = []

    def see_late(fd: int, grants: int) -> GrantTable:
        table = see(fd, grants)
        wait_for(lambda: table.epoch > 0)
        epochs.append(table.epoch)
        return table

    async with producer(patience=0.1) as served:
        monkeypatch.setattr(GrantTable, "attach", see_late)
        borrower = await in_thread(served.join)
        other = await in_thread(served.copy)
        content = await in_thread(copy_rest, borrower)
        borrower.close()

    assert epochs == [1, 1]
    assert (content, other) == (CONTENT, CONTENT)


async def test_stopped_between_the_new_term_and_the_first_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same when it has been given a new epoch, and that is over, too, when it looks."""
    ask = ControlConnection.request
    epochs: list[int] = []

    async with producer(patience=0.1) as served:
        borrower = await in_thread(served.join)

        def ask_and_stop(
            connection: ControlConnection, kind: str, timeout: float | None = None, **message: Any
        ) -> Message:
            answer = ask(connection, kind, timeout, **message)
            if kind == "resume" and not epochs:
                wait_for(lambda: borrower._grant_table.epoch > 1)
                epochs.append(borrower._grant_table.epoch)
            return answer

        monkeypatch.setattr(ControlConnection, "request", ask_and_stop)
        await in_thread(wait_for, lambda: borrower._grant_table.epoch == 1)
        content = await in_thread(copy_rest, borrower)
        borrower.close()

    assert epochs == [2]
    assert content == CONTENT


@pytest.mark.parametrize("in_hand", [0, 2])
async def test_the_producer_ends(in_hand: int) -> None:
    """A consumer that waits for a block is told that the producer has ended, whatever it holds."""
    async with producer() as served:
        borrower = await in_thread(served.join)
        await in_thread(lambda: copy_rest(borrower, until=5))
        if in_hand:
            await in_thread(borrower.wait, in_hand)

    with pytest.raises(HungUpError, match="the producer has ended"):
        copy_rest(borrower)
    borrower.close()


async def test_a_bad_place_of_the_source() -> None:
    """A consumer gets all blocks before it, then an error that names the bytes; one elsewhere gets none."""
    async with producer(bad=frozenset([5])) as served:
        borrower = await in_thread(served.join)
        with pytest.raises(FanoutError, match=f"can't be read from byte {5 * PAGE} to before {6 * PAGE}"):
            await in_thread(copy_rest, borrower)
        had = borrower.turn.next
        borrower.close()
        elsewhere = await in_thread(lambda: served.join(turn=Turn(6, 20)))
        content = await in_thread(lambda: copy_rest(elsewhere, until=6 + 34))
        elsewhere.close()
        await served.becomes(served.is_idle)

    assert had == 5
    assert content[20 * PAGE :] == CONTENT[20 * PAGE :]


async def test_one_that_hangs_up_with_blocks_in_hand() -> None:
    """They are free as soon as that is seen, long before its patience is over."""
    async with producer(patience=1000.0) as served:
        gone = await in_thread(served.join)
        await in_thread(gone.wait, 3)
        other = await in_thread(served.join)
        gone.close()
        content = await in_thread(copy_rest, other)
        other.close()
        await served.becomes(served.is_idle)

    assert content == CONTENT


async def test_a_borrower_comes_while_the_producer_ends() -> None:
    """It is hung up on, and looks for another."""
    async with producer() as served:
        connection = await in_thread(served.connect)
        served.engine.end_requested.set()
        with pytest.raises(HungUpError):
            await in_thread(lambda: Borrower.join(connection, "target", digests=False))
        connection.close()


async def test_the_source_takes_long_for_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """The producer says that it lives, and the copy goes on to wait, however long that takes."""
    monkeypatch.setattr(borrower_module, "PING_SECONDS", 0.001)
    pings: list[str] = []
    ask = ControlConnection.request

    def count(
        connection: ControlConnection, kind: str, timeout: float | None = None, **message: Any
    ) -> Message:
        pings.append(kind)
        return ask(connection, kind, timeout, **message)

    monkeypatch.setattr(ControlConnection, "request", count)
    async with producer() as served:
        read, goes_on = Scratched.read_into, threading.Event()

        def wait_and_read(source: Scratched, offset: int, length: int, slots: list[memoryview]) -> None:
            assert goes_on.wait(HANG_SECONDS)
            read(source, offset, length, slots)

        monkeypatch.setattr(Scratched, "read_into", wait_and_read)
        borrower = await in_thread(served.join)
        counts = [await in_thread(borrower.wait, 1) for _ in range(3)]
        goes_on.set()
        content = await in_thread(copy_rest, borrower)
        borrower.close()

    assert counts == [0, 0, 0]
    assert pings.count("ping") >= 3
    assert content == CONTENT


async def test_the_producer_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy ends, with an error that names the process: no block comes and no answer."""
    monkeypatch.setattr(borrower_module, "PING_SECONDS", 0.001)
    monkeypatch.setattr(borrower_module, "PONG_SECONDS", 0.01)
    async with producer() as served:
        borrower = await in_thread(served.join)
        await in_thread(lambda: copy_rest(borrower, until=1))
        # As long as this blocks, the producer in the same thread does nothing.
        with pytest.raises(NoAnswerError, match=rf"not answered for 0\.01 seconds: process {os.getpid()} "):
            copy_rest(borrower)
        borrower.close()
