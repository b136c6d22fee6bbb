"""Digests of the blocks in slots: hashed once for all requests, in a thread."""

import hashlib
import threading
from collections.abc import Iterator

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from fanoutfs.digests import slot_cache as digests_module
from fanoutfs.digests.digest import DIGEST_SIZE
from fanoutfs.digests.slot_cache import SlotDigests
from fanoutfs.ring.decision import Read
from fanoutfs.ring.memory import Memory
from fanoutfs.units import PAGE
from tests.limits import HANG_SECONDS

SLOTS = 4


def right(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:DIGEST_SIZE]


@attrs.define(eq=False)
class Hashing:
    """The digests of a few slots; while ``go`` is cleared, hashing waits."""

    digests: SlotDigests
    go: threading.Event = attrs.field(factory=threading.Event)
    begun: threading.Event = attrs.field(factory=threading.Event)
    lengths: list[int] = attrs.field(factory=list)
    """The lengths of the hashed blocks, in the order of hashing."""
    answers: list[list[bytes]] = attrs.field(factory=list)

    def digest(self, block: memoryview) -> bytes:
        self.begun.set()
        assert self.go.wait(HANG_SECONDS)
        self.lengths.append(len(block))
        return right(bytes(block))

    def fill(self, slot: int, byte: bytes) -> bytes:
        """Fill a slot, as the producer does, and return its new digest."""
        self.digests.memory.slot(slot)[:] = byte * PAGE
        self.digests.filled(Read(slot, (slot,), detour=False), ())
        return right(byte * PAGE)

    async def ask(self, slots: list[int]) -> None:
        self.answers.append(await self.digests.of(slots, slots, [PAGE] * len(slots)))

    async def hashing(self) -> None:
        """Wait until a thread hashes, and all requests wait for it."""
        await trio.to_thread.run_sync(self.begun.wait, HANG_SECONDS)
        await wait_all_tasks_blocked()


@pytest.fixture
def hashing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hashing]:
    """Hash slots 0 to 3, each full of a letter; at the end no hash is under way."""
    memory = Memory(SLOTS, PAGE)
    made = Hashing(SlotDigests(memory))
    for slot in range(SLOTS):
        made.fill(slot, b"abcd"[slot : slot + 1])
    made.go.set()
    monkeypatch.setattr(digests_module, "digest", made.digest)
    yield made
    assert made.digests._in_flight._batches == {}
    memory.close()


async def test_each_block_is_hashed_once_for_all_requests(hashing: Hashing) -> None:
    """At once or later, for one block or several: all get the digests of the blocks in these slots."""
    expected = [right(byte * PAGE) for byte in (b"a", b"b", b"c", b"d")]
    hashing.go.clear()
    async with trio.open_nursery() as nursery:
        for slots in ([0, 1], [1, 2], [0, 1, 2, 3], [3], [2, 0]):
            nursery.start_soon(hashing.ask, slots)
        await hashing.hashing()
        hashing.go.set()
    again = await hashing.digests.of([3, 2, 1, 0], [3, 2, 1, 0], [PAGE] * 4)

    assert sorted(map(len, hashing.answers)) == [1, 2, 2, 2, 4]
    assert {one for answer in hashing.answers for one in answer} == set(expected)
    assert again == expected[::-1]
    assert hashing.lengths == [PAGE] * 4


async def test_only_the_images_bytes_of_a_short_block_count(hashing: Hashing) -> None:
    """The bytes that an earlier block has left after them in the slot do not count."""
    assert [right(b"a" * 100)] == await hashing.digests.of([0], [0], [100])


async def test_a_slot_that_was_filled_again_is_hashed_again(hashing: Hashing) -> None:
    """The digest of its former block is dropped."""
    before = await hashing.digests.of([0, 1], [0, 1], [PAGE] * 2)
    expected = hashing.fill(0, b"e")

    assert [expected, before[1]] == await hashing.digests.of([0, 1], [0, 1], [PAGE] * 2)


async def test_a_slot_that_is_filled_while_it_is_hashed(hashing: Hashing) -> None:
    """Its grant was revoked: the old digest is not kept, and the next request gets the new one."""
    hashing.go.clear()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hashing.ask, [0, 1])
        await hashing.hashing()
        expected = hashing.fill(0, b"e")
        nursery.start_soon(hashing.ask, [0])
        await wait_all_tasks_blocked()
        hashing.go.set()

    assert [expected, right(b"b" * PAGE)] == await hashing.digests.of([0, 1], [0, 1], [PAGE] * 2)
    assert [expected] in hashing.answers


async def test_the_first_request_is_cancelled_while_hashing(hashing: Hashing) -> None:
    """The requests that wait for the digest get it, and it is not made twice."""
    hashing.go.clear()
    async with trio.open_nursery() as others:
        with trio.CancelScope() as leaves:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(hashing.ask, [0])
                await hashing.hashing()
                others.start_soon(hashing.ask, [0])
                others.start_soon(hashing.ask, [0])
                await wait_all_tasks_blocked()
                leaves.cancel()
                hashing.go.set()

    assert [right(b"a" * PAGE)] in hashing.answers
    assert len(hashing.lengths) == 1


async def test_the_first_request_is_cancelled_before_hashing(hashing: Hashing) -> None:
    """One of the waiting requests makes the digest for all of them: none gets an empty one."""
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(hashing.ask, [0])
        with trio.CancelScope() as left:
            left.cancel()
            await hashing.ask([0])

    assert hashing.answers == [[right(b"a" * PAGE)]] * 3
    assert hashing.lengths == [PAGE]
