"""One target's worker with a real producer and a real file: what it does when one of them fails."""

import hashlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest

from fanoutfs.checking.check import check
from fanoutfs.checking.claimed import claim_all
from fanoutfs.control.client import ControlConnection
from fanoutfs.control.messages import HungUpError
from fanoutfs.copying import workers
from fanoutfs.copying.copy_options import CopyOptions
from fanoutfs.copying.worker import RETRIES, Worker
from fanoutfs.copying.workers import CopyJob
from fanoutfs.errors import FanoutError, SourceChangedError
from fanoutfs.ring.cursor import Cursor
from fanoutfs.ring.rules import Rules
from fanoutfs.shm.borrower import Image
from fanoutfs.shm.lender import Lease
from fanoutfs.targets.target import Target
from fanoutfs.units import PAGE
from tests.adapter.copies import open_target
from tests.adapter.producers import BLOCKS, CONTENT, SIZE, Served, in_thread, producer, wait_for
from tests.limits import HANG_SECONDS

if TYPE_CHECKING:
    from fanoutfs.copying.connector import ProducerConnector

IMAGE = Image(SIZE, PAGE, "scratched", None)


@attrs.define(eq=False)
class Copying:
    """A worker, and a record of what it does."""

    target: Target
    connect: Callable[[], ControlConnection]
    connections: list[ControlConnection] = attrs.field(factory=list)
    said: list[dict[str, Any]] = attrs.field(factory=list)
    written: list[int] = attrs.field(factory=list)
    """The blocks, in order, as often as they were written."""
    before_write: Callable[[int], object] = lambda _: None
    """Called with the first block of each write."""

    def run(self, *, resume: bool = False, verify: bool = False, preferred_start: int = 0) -> str | None:
        """Do what a worker's process does."""
        worker = Worker(
            target=self.target,
            image=IMAGE,
            connect=self._connect,
            send=lambda **message: self.said.append(message),
            wait_for_others=lambda: None,
            preferred_start=preferred_start,
            resume=resume,
            verify=verify,
        )
        return worker.run()

    def change_at(self, block: int, first: Served, second: Served) -> None:
        """End the first producer before this block is written; from then on connect to the second."""

        def change(at: int) -> None:
            if at >= block and not first.ended.is_set():
                first.end()
                self.connect = second.connect

        self.before_write = change

    def _connect(self) -> ControlConnection:
        self.connections.append(self.connect())
        return self.connections[-1]

    @property
    def content(self) -> bytes:
        return Path(self.target.path).read_bytes()


@pytest.fixture
def copying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Copying]:
    """Make workers that copy to a file with this content."""
    write = Target.write

    def make(served: Served, content: bytes = b"") -> Copying:
        path = tmp_path / "target"
        path.write_bytes(content)
        made = Copying(open_target(path, SIZE, block=PAGE), served.connect)

        def note(target: Target, offset: int, pieces: list[memoryview]) -> None:
            made.before_write(offset // PAGE)
            made.written += range(offset // PAGE, offset // PAGE + len(pieces))
            write(target, offset, pieces)

        monkeypatch.setattr(Target, "write", note)
        return made

    return make


MakeCopying = Callable[..., Copying]


async def test_the_other_targets_do_not_join(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a worker is stopped: this one, a real process, waits for a moment and begins without them."""
    monkeypatch.setattr(workers, "TOGETHER_SECONDS", 0.05)
    options = CopyOptions(yes=True, verify=False, resume=False, sparse=False, progress=False, dry_run=False)
    async with producer() as served:
        connector = cast("ProducerConnector", SimpleNamespace(connect=served.connect))
        claimed = claim_all(check(None, SIZE, [str(tmp_path / "target")]), direct=False)
        (worker,) = workers.start(CopyJob(IMAGE, connector, 0, options, PAGE), claimed)
        reports = await in_thread(lambda: list(iter(lambda: worker.pipe.receive(HANG_SECONDS), {})))
        assert worker.reap() is None

    assert reports[-1]["phase"] == "done"
    assert (tmp_path / "target").read_bytes() == CONTENT


@pytest.mark.parametrize("start", [0, 1, 39])
async def test_each_block_is_written_once_and_the_first_one_last(start: int, copying: MakeCopying) -> None:
    """From where the head was round; it says that it joins, how far it is, and that it flushes."""
    async with producer() as served:
        served.engine.ring.rules.begin_at(start)
        made = copying(served, b"x" * SIZE)
        sha256 = await in_thread(lambda: made.run(verify=True))

    ways = [block % BLOCKS for block in range(start, start + BLOCKS)]
    assert made.content == CONTENT
    assert made.written == [block for block in ways if block] + [0]
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()
    phases = list(dict.fromkeys(message["phase"] for message in made.said))
    assert phases == ["joining", "copying", "flushing", "verifying"]
    done = [message["done"] for message in made.said if message["phase"] == "copying"]
    assert (done, done[-1]) == (sorted(done), SIZE)
    assert made.target.written == SIZE


@pytest.mark.parametrize("at", [1, 15, 30])
async def test_the_producer_ends_in_the_middle(at: int, copying: MakeCopying) -> None:
    """The next one is asked for the rest of the same turn; digests of both verify the whole."""
    async with producer() as first, producer() as second:
        made = copying(first)
        made.change_at(at, first, second)
        sha256 = await in_thread(lambda: made.run(verify=True))

    assert made.content == CONTENT
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert len(made.connections) == 2
    assert sorted(set(made.written)) == list(range(BLOCKS))


async def test_a_connection_that_is_cut_after_each_write(copying: MakeCopying) -> None:
    """While it makes progress it never gives up: it counts only connections that gave it no block."""
    async with producer() as served:
        made = copying(served)

        def cut(block: int) -> None:
            if block:
                made.connections[-1].socket.shutdown(socket.SHUT_RDWR)

        made.before_write = cut
        await in_thread(made.run)

    assert made.content == CONTENT
    assert len(made.connections) > 2 * RETRIES


async def test_producers_that_end_before_they_give_a_block(copying: MakeCopying) -> None:
    """After RETRIES in a row it gives up and names its target, which does not look complete."""
    async with producer() as served:
        made = copying(served, b"x" * SIZE)

        def cut() -> ControlConnection:
            connection = served.connect()
            connection.socket.shutdown(socket.SHUT_RDWR)
            return connection

        made.connect = cut
        with pytest.raises(HungUpError, match=f"ended {RETRIES + 1} times; .*target is unfinished"):
            await in_thread(made.run)

    assert len(made.connections) == RETRIES + 1
    assert made.content[:PAGE] == bytes(PAGE)


async def test_the_source_is_another_one_when_the_next_producer_begins(copying: MakeCopying) -> None:
    """The copy ends there: two halves of two images are none."""
    async with producer() as first, producer() as second:
        second.engine.source.identity = "changed"  # type: ignore[misc]  # this one's own
        made = copying(first, b"x" * SIZE)
        made.change_at(20, first, second)
        with pytest.raises(SourceChangedError, match="has changed since the copy began"):
            await in_thread(made.run)

    assert made.content[:PAGE] == bytes(PAGE)
    assert max(made.written) < BLOCKS - 1


async def test_writes_that_last_longer_than_the_patience(
    copying: MakeCopying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one's slots were used for others under its hands: what was wrong is written again.

    From then on blocks are copied out of the ring first, and no write is lost, though each is as slow.
    """
    dormant, hangs = Rules.dormant, threading.Event()

    def dormant_while_it_hangs(rules: Rules, point: Cursor, now: float) -> bool:
        # Nor does a busy machine end an epoch: only a write that hangs does.
        return hangs.is_set() and dormant(rules, point, now)

    monkeypatch.setattr(Rules, "dormant", dormant_while_it_hangs)
    async with producer(patience=0.05) as served:
        made = copying(served)
        hung: list[int] = []
        lenders: list[Any] = []

        def hang(block: int) -> None:
            if len(hung) == 5:
                return
            lenders[:] = lenders or served.engine.lenders.values()
            (lender,) = lenders
            hung.append(block)
            hangs.set()
            if len(hung) == 1:
                assert served.copy() == CONTENT
                wait_for(lambda: lender.grant_table.epoch == 1)
            wait_for(lambda: lender._state is Lease.REVOKED or lender._granted == lender._freed)
            hangs.clear()

        made.before_write = hang
        sha256 = await in_thread(lambda: made.run(verify=True))

    again = [block for block in range(BLOCKS) if made.written.count(block) > 1]
    assert len(hung) == 5
    assert again == hung[:1]
    assert made.content == CONTENT
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()


async def test_the_source_has_a_bad_place(copying: MakeCopying) -> None:
    """The producer's error ends the copy, at once; the target does not look whole."""
    async with producer(bad=frozenset([7])) as served:
        made = copying(served, b"x" * SIZE)
        with pytest.raises(FanoutError, match=f"the source can't be read from byte {7 * PAGE}"):
            await in_thread(made.run)

    assert len(made.connections) == 1
    assert made.content[:PAGE] == bytes(PAGE)
    assert made.content[PAGE : 7 * PAGE] == CONTENT[PAGE : 7 * PAGE]


@pytest.mark.parametrize("differs", [[], [0], [17], [39], [3, 4, 38]])
async def test_going_on_writes_what_differs_and_then_the_first_block(
    differs: list[int], copying: MakeCopying
) -> None:
    """Where all is right nothing is written, not even the first block."""
    there = bytearray(CONTENT)
    for block in differs:
        there[block * PAGE + 5] ^= 1
    async with producer() as served:
        made = copying(served, bytes(there))
        sha256 = await in_thread(lambda: made.run(resume=True, verify=True))

    assert made.content == CONTENT
    assert made.written == [block for block in differs if block] + [0] * bool(differs)
    assert sha256 == hashlib.sha256(CONTENT).hexdigest()
