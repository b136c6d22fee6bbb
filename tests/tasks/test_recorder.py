"""Recording the digests of all blocks that enter a ring, on trio's own clock."""

import random
from collections.abc import Sequence

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fanoutfs.digests.digest import digest
from fanoutfs.digests.digest_table import BEGIN, DigestTable, parse_line
from fanoutfs.digests.recorder import Recorder
from fanoutfs.digests.slot_cache import SlotDigests
from fanoutfs.units import PAGE
from tests.tasks.rig import BLOCKS, SIZE, Rig, background, make_rig, pattern, read, read_all


@attrs.define(eq=False)
class SlowDigests(SlotDigests):
    """Hashing takes ``seconds``, and fails if a slot is overwritten meanwhile."""

    seconds: float = 0.0
    hashed: list[int] = attrs.field(factory=list)
    """The blocks, in the order of hashing."""

    async def of(self, blocks: Sequence[int], slots: Sequence[int], lengths: Sequence[int]) -> list[bytes]:
        before = [bytes(self.memory.slot(slot)) for slot in slots]
        await trio.sleep(self.seconds)
        assert before == [bytes(self.memory.slot(slot)) for slot in slots]
        self.hashed += blocks
        pieces = [memoryview(piece)[:length] for piece, length in zip(before, lengths, strict=True)]
        return [digest(piece) for piece in pieces]


@attrs.define(eq=False)
class Recording:
    """A rig whose ring is recorded."""

    rig: Rig
    digests: SlowDigests
    recorder: Recorder
    changed: list[int]

    @property
    def known(self) -> dict[int, bytes | None]:
        """The digests that a follower can read."""
        assert self.recorder.table is not None
        return dict(map(parse_line, self.recorder.table.lines(BEGIN, 1000)[0].splitlines()))

    async def follow(self, seconds: float = 1e6) -> None:
        """Follow for some seconds."""
        with self.recorder.follow():
            await trio.sleep(seconds)

    async def recorded(self) -> None:
        """Wait until no block is left to be hashed."""
        while self.recorder._lacking or self.recorder._in_flight.slots:  # noqa: ASYNC110 (there is no event for it)
            await trio.sleep(1)


def make_recording(slots: int = 8, *, seconds: float = 0.0, batch: int = 2, linger: float = 0.0) -> Recording:
    """Return a recording: hashing ``batch`` blocks takes ``seconds``, reading two blocks one second."""
    rig = make_rig(SIZE, slots)
    digests = SlowDigests(rig.ring.memory, seconds=seconds)
    changed: list[int] = []
    return Recording(rig, digests, Recorder(rig.ring, digests, changed.append, batch * PAGE, linger), changed)


def expected(content: bytes) -> dict[int, bytes]:
    """Return the digests of an image."""
    view = memoryview(content)
    return {at // PAGE: digest(view[at : at + PAGE]) for at in range(0, len(content), PAGE)}


@pytest.mark.parametrize("slots", [2, 3, 8, 64])
@pytest.mark.parametrize("seconds", [0.0, 0.3, 5.0])
async def test_every_block_read_is_recorded(slots: int, seconds: float, autojump_clock: MockClock) -> None:
    """Also if hashing is slower than the source, and if the ring keeps hardly any block."""
    made = make_recording(slots, seconds=seconds)
    async with background(made.recorder.run, made.follow) as nursery:
        await wait_all_tasks_blocked()
        nursery.start_soon(made.rig.produce)
        content = await read_all(made.rig.open(), PAGE)
        await made.recorded()

    assert made.rig.content == content
    assert expected(made.rig.content) == made.known
    assert sorted(made.rig.blocks_read) == sorted(made.digests.hashed)
    assert made.changed == []


@pytest.mark.parametrize("slots", [2, 3, 8, 64])
@pytest.mark.parametrize("after", [0.5, 3.0, 16.5])
async def test_a_follower_that_joins_late_gets_the_resident_blocks_and_all_that_come(
    slots: int, after: float, autojump_clock: MockClock
) -> None:
    """Also those that are evicted right after it joins, and were not hashed until then."""
    made = make_recording(slots, seconds=7.0, batch=1)
    rig = made.rig
    async with background(made.recorder.run, rig.produce) as nursery:
        nursery.start_soon(read_all, rig.open(), PAGE)
        await trio.sleep(after)
        with made.recorder.follow():
            resident, already = set(rig.ring.rules.residency.slot_of), len(rig.blocks_read)
            await trio.sleep(1000)
            await made.recorded()

    owed = resident | set(rig.blocks_read[already:])
    assert {block: expected(rig.content)[block] for block in owed} == made.known
    assert len(rig.blocks_read) > already


@pytest.mark.parametrize("seed", range(20))
async def test_a_follower_misses_nothing_that_is_read(seed: int, autojump_clock: MockClock) -> None:
    """Of what readers get while it follows, whatever other followers do, and however slow hashing is."""
    chance = random.Random(seed)
    made = make_recording(chance.choice([2, 3, 5, 9]), seconds=chance.choice([0.1, 1.0, 4.0]))
    rig, owed, stays = made.rig, set[int](), trio.Event()

    async def read_at_times() -> None:
        for _ in range(3):
            await trio.sleep(chance.uniform(0, 40))
            consumer = rig.open()
            for at in sorted(chance.sample(range(BLOCKS), 12)):
                following = stays.is_set()
                await read(consumer, at * PAGE, PAGE)
                if following:
                    owed.add(at)
            consumer.close()

    async def follow_now_and_then() -> None:
        while True:
            await trio.sleep(chance.uniform(0, 20))
            await made.follow(chance.uniform(0, 60))

    async def follow_from_then_on() -> None:
        await trio.sleep(chance.uniform(0, 60))
        with made.recorder.follow():
            stays.set()
            await trio.sleep_forever()

    async with background(made.recorder.run, rig.produce, follow_from_then_on, follow_now_and_then):
        async with trio.open_nursery() as readers:
            for _ in range(4):
                readers.start_soon(read_at_times)
        await made.recorded()

    assert owed
    assert expected(rig.content) | made.known == expected(rig.content)
    assert owed <= set(made.known)


async def test_without_followers_nothing_is_hashed(autojump_clock: MockClock) -> None:
    """Neither before the first nor after the last; recorded digests stay for the next follower."""
    made = make_recording(64)
    async with background(made.recorder.run, made.rig.produce):
        await read_all(made.rig.open(), PAGE)
        before, table = list(made.digests.hashed), made.recorder.table
        with made.recorder.follow():
            await made.recorded()
        await made.follow(0)

    assert ([], None) == (before, table)
    assert expected(made.rig.content) == made.known


async def test_the_last_follower_leaves_while_blocks_are_hashed(autojump_clock: MockClock) -> None:
    """The block that is being hashed is not overwritten, and is recorded; the rest is not hashed."""
    made = make_recording(2, seconds=5.0, batch=1)
    async with background(made.recorder.run) as nursery:
        with made.recorder.follow():
            nursery.start_soon(made.rig.produce)
            nursery.start_soon(read_all, made.rig.open(), PAGE)
            await trio.sleep(2)
        await trio.sleep(1000)
        hashed = list(made.digests.hashed)

    assert [0] == hashed
    assert {0: expected(made.rig.content)[0]} == made.known
    assert sorted(made.rig.blocks_read) == list(range(BLOCKS))


async def test_a_follower_that_comes_back_has_missed_nothing(autojump_clock: MockClock) -> None:
    """After the last follower has left, recording continues for ``linger`` seconds."""
    made = make_recording(2, linger=6.5)
    async with background(made.recorder.run, made.rig.produce) as nursery:
        await made.follow(0)
        nursery.start_soon(read_all, made.rig.open(), PAGE)
        await trio.sleep(100)

    assert sorted(made.known) == list(range(6))
    assert sorted(made.rig.blocks_read) == list(range(BLOCKS))


async def test_a_follower_comes_back_while_a_slot_is_hashed(autojump_clock: MockClock) -> None:
    """The hash under way serves the new follower, and the producer that wants the slot waits for it."""
    made = make_recording(2, seconds=5.0, batch=1)
    async with background(made.recorder.run, made.rig.produce):
        await read(made.rig.open(), 0, 100)
        await trio.sleep(1.5)
        await made.follow(1)
        with made.recorder.follow():
            under_way, lacking = set(made.recorder._in_flight.slots), set(made.recorder._lacking)
            slots = made.rig.ring.rules.residency.slot_of
            began = trio.current_time()
            await made.recorder.before_overwrite((slots[0],))
            took, known = trio.current_time() - began, set(made.known)
            await made.recorded()

    assert ({slots[0]}, {slots[1]}) == (under_way, lacking)
    assert (4.0, {0}) == (took, known)
    assert [0, 1] == made.digests.hashed


async def test_slots_to_be_overwritten_are_hashed_once(autojump_clock: MockClock) -> None:
    """Some are being hashed, some not yet: ``before_overwrite`` returns once all are recorded."""
    made = make_recording(8, seconds=5.0, batch=2)
    async with background(made.recorder.run, made.rig.produce):
        await read(made.rig.open(), 0, 4 * PAGE)
        with made.recorder.follow():
            await trio.sleep(1)
            under_way, lacking = set(made.recorder._in_flight.slots), set(made.recorder._lacking)
            await made.recorder.before_overwrite((*under_way, *lacking))
            known = made.known

    assert 2 == len(under_way)
    assert lacking
    assert len(known) == len(under_way | lacking) == len(made.digests.hashed)


async def test_bad_blocks_have_no_digest(autojump_clock: MockClock) -> None:
    """Neither resident ones nor new ones; a block that can be read later has one."""
    made = make_recording(64)
    made.rig.bad = {3: [(0, 512)], 7: [(0, 512)]}
    reader = made.rig.open()
    async with background(made.recorder.run, made.rig.produce):
        await reader.read(3 * PAGE + 512, 512)
        with made.recorder.follow():
            await reader.read(7 * PAGE + 512, 512)
            await made.recorded()
            bad = {block for block, found in made.known.items() if found is None}
            made.rig.bad = {}
            await reader.read(7 * PAGE, 512)
            await made.recorded()

    assert {3, 7} == bad
    assert expected(made.rig.content)[7] == made.known[7]
    assert made.known[3] is None


async def test_a_source_that_changes_is_detected(autojump_clock: MockClock) -> None:
    """A block that is read again with other bytes gets a new digest, and is reported as changed."""
    made = make_recording(2)
    async with background(made.recorder.run, made.follow, made.rig.produce):
        await read_all(made.rig.open(), PAGE)
        made.rig.content = made.rig.content[:-1] + b"!"
        await read_all(made.rig.open(), PAGE)
        await made.recorded()

    assert [BLOCKS - 1] == made.changed
    assert expected(pattern(SIZE)[:-1] + b"!") == made.known


async def test_followers_are_told_of_news(autojump_clock: MockClock) -> None:
    """A follower waits, and is woken when new digests exist."""
    made = make_recording(4)
    told: list[bytes] = []

    async def listen(table: DigestTable) -> None:
        place = BEGIN
        while len(told) < BLOCKS:
            await made.recorder.news()
            text, place = table.lines(place, 100)
            told.extend(text.splitlines())

    async with background(made.recorder.run) as nursery:
        with made.recorder.follow() as table:
            nursery.start_soon(made.rig.produce)
            nursery.start_soon(listen, table)
            await read_all(made.rig.open(), PAGE)
            await made.recorded()

    assert expected(made.rig.content) == dict(map(parse_line, told))


async def test_recording_ends_while_a_block_is_hashed(autojump_clock: MockClock) -> None:
    """The producer that waits to overwrite it continues; the ring is recorded no longer."""
    made = make_recording(2, seconds=5.0)
    async with background(made.rig.produce) as nursery:
        with made.recorder.follow():
            async with background(made.recorder.run):
                nursery.start_soon(read_all, made.rig.open(), PAGE)
                await trio.sleep(3)
        await trio.sleep(1000)

    assert made.rig.ring.observers._all == (made.rig.digests,)
    assert sorted(made.rig.blocks_read) == list(range(BLOCKS))
