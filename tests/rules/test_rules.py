"""The ring's rules, one by one, on examples small enough to draw."""

import math

import pytest

from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.rules import Rules
from tests.rules.rings import (
    PATIENCE,
    TURN,
    fill,
    make_rules,
    next_read,
    put,
    reader,
    request,
    resident,
    travel,
)
from tests.rules.world import World


def test_without_requests_the_source_rests() -> None:
    """A file that was opened and not read holds no block and wants none."""
    rules = make_rules(blocks=100, run=2)
    rules.open(1)

    assert rules.decide(0.0) == Rest(math.inf)


def test_the_sweep_fills_the_look_ahead_in_runs() -> None:
    """One reader at 0: runs of two, up to its look-ahead of four runs, at most half of the ring."""
    rules = make_rules(blocks=100, run=2)
    reader(rules, 0)

    reads = fill(rules)

    assert [(read.first, len(read.slots)) for read in reads] == [(0, 2), (2, 2), (4, 2), (6, 2)]
    assert rules.head == 8


def test_the_nearest_wanted_block_ahead_of_the_head_is_next() -> None:
    """R1: not the oldest request, nor the block behind the head, but the next one going round."""
    rules = make_rules(blocks=100, run=2)
    reader(rules, 10)
    fill(rules)
    behind = reader(rules, 0)
    request(rules, behind, 0)
    ahead = reader(rules, 60)
    rules.request(ahead, 60, 60, 1.0, fresh=False)

    read = next_read(rules, 1.0)

    assert (read.first, read.detour) == (60, False)


def test_the_head_goes_round_to_the_beginning() -> None:
    """A latecomer's beginning is read when the sequential pass comes round."""
    rules = make_rules(blocks=100, run=2)
    reader(rules, 98)
    fill(rules)
    reader(rules, 0)

    assert rules.head == 0
    assert fill(rules)[0].first == 0


def test_the_first_block_after_an_open_is_read_out_of_order_at_once() -> None:
    """R1a: a newcomer and a probe are answered immediately, and the head stays."""
    rules = make_rules(blocks=100, slots=64, run=2)
    reader(rules, 10)
    fill(rules, most=1)
    head = rules.head
    probe = rules.open(2)
    rules.request(probe, 50, 50, 0.0, fresh=True)

    read = next_read(rules)

    assert (read.first, read.detour) == (50, True)
    rules.filled(read, 0.1)
    assert rules.head == head


def test_a_reader_that_has_waited_a_turn_gets_its_block_out_of_order() -> None:
    """R1a: not before ``turn`` seconds, and then ahead of a nearer block of the sequential pass."""
    rules = make_rules(blocks=100, slots=64, run=2)
    late = reader(rules, 0)
    request(rules, late, 0)
    reader(rules, 50)
    rules.begin_at(50)

    early = next_read(rules, TURN - 0.1)
    rules.filled(early, 0.1)
    overdue = next_read(rules, TURN)

    assert (early.first, early.detour) == (50, False)
    assert (overdue.first, overdue.detour) == (0, True)


def test_detours_get_at_most_half_of_the_sources_time() -> None:
    """R1a: as long as the sequential pass has work, it gets as much time as the detours."""
    rules = make_rules(slots=200, run=2)
    walker = reader(rules, 0)
    spent = {True: 0.0, False: 0.0}
    for i in range(60):
        probe = rules.open(100 + i)
        rules.request(probe, 500 + i, 500 + i, float(i), fresh=True)
        rules.move(walker, rules.head, sequential=True, now=float(i))
        read = next_read(rules, float(i))
        seconds = 0.3 if read.detour else 0.1
        rules.filled(read, seconds)
        spent[read.detour] += seconds

    assert spent[True] <= spent[False] + 0.3
    assert spent[True] > 0.0


def test_the_block_used_farthest_in_the_future_is_evicted() -> None:
    """R2: of the blocks between two readers, the one farthest ahead of its next reader."""
    rules = make_rules(strict=False)
    reader(rules, 0)
    front = reader(rules, 40)
    fill(rules)
    travel(rules, front, range(41, 60))

    left_behind = {block for block in resident(rules) if 8 <= block < 59}

    assert left_behind == set(range(40, 40 + len(left_behind)))


def test_of_the_blocks_that_no_reader_needs_the_highest_is_evicted_first() -> None:
    """R2: the beginning stays, because the next newcomer begins there."""
    rules = make_rules(blocks=100)
    travel(rules, reader(rules, 0), range(60))

    assert {0, 1, 2, 3} <= resident(rules)


def test_the_front_waits_for_a_reader_in_reach_behind_it() -> None:
    """R3: with the ring full of blocks that the hindmost needs, the front gets no further."""
    rules = make_rules()
    reader(rules, 0)
    front = reader(rules, 0)
    for _ in range(100):
        fill(rules)
        if front.block in rules.residency.slot_of:
            rules.move(front, front.block + 1, sequential=True, now=0.0)
    request(rules, front, front.block)

    assert rules.decide(TURN) == Rest(PATIENCE)
    assert front.block <= rules.slots
    assert set(range(front.block)) <= resident(rules)
    assert rules.waits(TURN) == {front.id: 1}


def test_pace_free_lets_the_front_go() -> None:
    """Without R3 the front takes the slots of the blocks that the hindmost needs last."""
    rules = make_rules(strict=False)
    reader(rules, 0)
    travel(rules, reader(rules, 0), range(100))

    assert 100 in resident(rules)


def test_a_reader_out_of_reach_holds_no_other() -> None:
    """R3 is for readers at most K blocks behind: one farther behind has lost its place anyway."""
    rules = make_rules()
    reader(rules, 0)
    travel(rules, reader(rules, 500), range(500, 600))

    assert 600 in resident(rules)


def test_after_the_patience_a_stopped_reader_holds_no_other() -> None:
    """R5: the front is held until then, and the producer knows when to decide again."""
    rules = make_rules()
    stopped = reader(rules, 0)
    front = reader(rules, 0)
    for at in range(1, 16):
        fill(rules, now=1.0)
        rules.move(front, at, sequential=True, now=1.0)
    rules.request(front, 15, 15, 1.0, fresh=False)

    assert rules.decide(1.0 + TURN) == Rest(PATIENCE)
    assert rules.dormant(stopped, PATIENCE) is True
    assert isinstance(rules.decide(PATIENCE), Read)


def test_a_dormant_readers_next_request_makes_it_live() -> None:
    """R5: the blocks that it needs are wanted again."""
    rules = make_rules(blocks=100, run=2)
    stopped = reader(rules, 0)
    fill(rules, now=0.0)

    rules.request(stopped, 50, 50, 100.0, fresh=False)

    assert rules.dormant(stopped, 100.0) is False


def test_a_reader_that_waits_for_the_source_is_not_dormant() -> None:
    """R5 is for readers that don't take resident blocks, not for a slow source."""
    rules = make_rules(blocks=100, run=2)
    waiting = reader(rules, 5)
    request(rules, waiting, 5)

    assert rules.dormant(waiting, 1000.0) is False


def test_held_blocks_are_counted_until_they_are_read() -> None:
    """A gauge: resident blocks that a live reader still needs; zero once it is done, gone or dormant."""
    rules = make_rules(blocks=100, run=2)
    cursor = reader(rules, 0)
    fill(rules)
    held = [rules.held(0.0)]
    rules.move(cursor, 3, sequential=True, now=0.0)
    held.append(rules.held(0.0))
    held.append(rules.held(PATIENCE))
    rules.close(cursor)
    held.append(rules.held(0.0))

    assert held == [8, 5, 0, 0]


def test_a_leaving_reader_frees_what_only_it_needed() -> None:
    """The front continues as soon as the reader that it waited for is gone."""
    rules = make_rules()
    hindmost = reader(rules, 0)
    travel(rules, reader(rules, 0), range(15))
    assert isinstance(rules.decide(0.0), Rest)

    assert rules.close(hindmost) is True
    assert isinstance(rules.decide(0.0), Read)


def test_a_jumping_reader_is_served_while_a_pack_fills_the_ring() -> None:
    """The reserve: a probe is answered though R3 keeps all else, and evicts no block that the pack needs."""
    rules = make_rules()
    reader(rules, 0)
    travel(rules, reader(rules, 0), range(15))
    needed = resident(rules)
    for number in range(3, 9):
        probe = rules.open(number)
        pending = rules.request(probe, 900 - number, 900 - number, 0.0, fresh=True)
        read = next_read(rules)
        assert (read.first, read.detour) == (900 - number, True)
        rules.filled(read, 0.01)
        rules.answered(pending, 0.0)

    assert needed <= resident(rules)


def test_an_image_that_fits_the_ring_is_read_once_and_stays() -> None:
    """The last line of the table in the semantics page: S for all readers to come."""
    rules = make_rules(blocks=16, run=4)
    reads = []
    for _ in range(3):
        reads += travel(rules, reader(rules, 0), range(17))

    assert sorted(block for read in reads for block in read.blocks) == list(range(16))


@pytest.mark.parametrize("readers", [1, 2, 3, 8, 40])
def test_blocks_never_evicted_cover_at_most_half_of_the_ring(readers: int) -> None:
    """However many readers there are, and wherever: the rest is for blocks that they share."""
    rules = make_rules(blocks=10_000, run=4)
    for place in range(0, 200 * readers, 200):
        reader(rules, place)
    fill(rules)

    assert sum(rules.ahead.guarded_of(position) for position in rules.cursors.at.values()) <= 8


def test_a_reader_that_waits_takes_no_look_ahead_from_the_others() -> None:
    """A newcomer at 0 has read nothing yet: the front keeps its whole look-ahead, and the head."""
    rules = make_rules(run=4)
    front = reader(rules, 500)
    rules.request(front, 500, 500, 0.0, fresh=True)
    first = next_read(rules)
    rules.filled(first, 0.0)
    late = reader(rules, 0)
    request(rules, late, 0)

    assert [500, 504] == [first.first, *(read.first for read in fill(rules, most=1))]


def test_a_look_ahead_evicts_no_block_that_is_needed_sooner() -> None:
    """Do no harm: a block is read ahead only in the place of a block that is used later."""
    rules = make_rules(slots=8, strict=False)
    for at in (100, 200, 300, 400):
        reader(rules, at)

    reads = fill(rules, most=100)

    assert len(reads) == len({block for read in reads for block in read.blocks})


def test_a_requested_block_is_read_whatever_is_evicted_for_it() -> None:
    """Do no harm is for look-ahead: a request over two blocks gets its second block."""
    rules = make_rules(blocks=15, slots=3, strict=False)
    put(rules, (7, 10, 11))
    reader(rules, 10)
    straddling = reader(rules, 7)
    rules.request(straddling, 7, 8, 0.0, fresh=False)

    assert (8, {7, 10}) == (next_read(rules).first, resident(rules))


def test_a_requested_block_is_read_without_all_the_blocks_before_it() -> None:
    """A reader with several requests, the farthest beyond its look-ahead: that is read next."""
    rules = make_rules(blocks=100, slots=4, run=4)
    cursor = reader(rules, 0)
    rules.request(cursor, 11, 12, 0.0, fresh=False)

    reads = fill(rules)

    assert [block for read in reads for block in read.blocks] == [0, 1, 11]


def test_a_pack_leaves_room_for_the_look_ahead_of_readers_out_of_reach() -> None:
    """A front goes less far ahead of its pack when a reader far behind needs slots for its look-ahead."""

    def front_gets_to(*others: int) -> int:
        rules = make_rules(slots=64, run=4)
        front = reader(rules, 100)
        for at in (100, *others):
            reader(rules, at)
        for _ in range(200):
            fill(rules)
            if front.block in resident(rules):
                rules.move(front, front.block + 1, sequential=True, now=0.0)
        return front.block

    in_reach = 100 + 64 - make_rules(blocks=100, slots=64, run=2).reserve
    assert front_gets_to() == in_reach // 4 * 4
    assert front_gets_to(500) == in_reach - 16


@pytest.mark.parametrize(("expensive", "used"), [(False, 64), (True, 16)])
def test_expensive_memory_is_not_used_for_blocks_that_no_reader_needs(used: int, *, expensive: bool) -> None:
    """Beyond ``cheap_slots`` the blocks behind a reader are evicted; each block is still read once."""
    world = World(Rules(blocks=64, slots=64, run=2, patience=10.0, turn=1e9, cheap_slots=16))
    world.rules.set_memory_cost(is_expensive=expensive)
    reader = world.join()
    while not reader.done:
        world.step(reader.cursor.id)
        world.produce()

    assert used == world.rules.residency.used
    assert list(range(64)) == world.reads


def test_expensive_memory_is_used_for_blocks_that_a_reader_needs() -> None:
    """A slow reader far behind a fast one loses no block."""
    world = World(Rules(blocks=64, slots=64, run=2, patience=10.0, turn=1e9, cheap_slots=16))
    world.rules.set_memory_cost(is_expensive=True)
    slow, fast = world.join(), world.join()
    world.step(slow.cursor.id)
    for walker in (fast, slow):
        while not walker.done:
            world.step(walker.cursor.id)
            world.produce()

    assert list(range(64)) == world.reads
