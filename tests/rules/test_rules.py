"""The ring's rules, one by one, on examples small enough to draw."""

import math

import pytest

from fanoutfs.ring.cursor import Cursor
from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.rules import Rules
from tests.rules.world import World

PATIENCE, TURN = 10.0, 2.0


def make_rules(blocks: int = 100, slots: int = 16, run: int = 2, *, strict: bool = True) -> Rules:
    return Rules(blocks=blocks, slots=slots, run=run, patience=PATIENCE, turn=TURN, strict=strict)


def reader(rules: Rules, number: int, at: int, now: float = 0.0, *, counts: bool = True) -> Cursor:
    point = rules.open(number)
    rules.move(point, at, sequential=counts, now=now)
    return point


def fill(rules: Rules, now: float = 0.0, most: int = 1000) -> list[Read]:
    """Read until the rules rest; the source takes no time."""
    reads = []
    for _ in range(most):
        decision = rules.decide(now)
        if isinstance(decision, Rest):
            break
        rules.filled(decision, 0.0)
        reads.append(decision)
    return reads


def resident(rules: Rules) -> set[int]:
    return set(rules.residency.slot_of)


def test_nobody_wants_anything_and_the_source_rests() -> None:
    """A handle that has not read holds nothing and asks for nothing."""
    rules = make_rules()
    rules.open(1)

    assert rules.decide(0.0) == Rest(math.inf)


def test_the_sweep_fills_the_look_ahead_in_runs() -> None:
    """One reader at 0: runs of two, up to its look-ahead of four runs, half of the ring at most."""
    rules = make_rules()
    reader(rules, 1, 0)

    reads = fill(rules)

    assert [(read.first, len(read.slots)) for read in reads] == [(0, 2), (2, 2), (4, 2), (6, 2)]
    assert rules.head == 8


def test_the_nearest_wanted_block_ahead_of_the_head_is_next() -> None:
    """R1: not the one asked for first, and not the one behind the head, but the next going round."""
    rules = make_rules()
    reader(rules, 1, 10)
    fill(rules)
    behind = reader(rules, 2, 0)
    rules.request(behind, 0, 0, 0.0, fresh=False)
    ahead = reader(rules, 3, 60)
    rules.request(ahead, 60, 60, 1.0, fresh=False)

    decision = rules.decide(1.0)

    assert isinstance(decision, Read)
    assert (decision.first, decision.detour) == (60, False)


def test_going_round_the_head_comes_to_the_beginning() -> None:
    """A latecomer's beginning is read when the sweep comes round."""
    rules = make_rules()
    reader(rules, 1, 98)
    fill(rules)
    reader(rules, 2, 0)

    assert rules.head == 0
    assert fill(rules)[0].first == 0


def test_the_first_block_after_an_open_is_read_off_the_sweep_at_once() -> None:
    """R1a: a newcomer and a probe are answered immediately, and the head stays where it is."""
    rules = make_rules(slots=64)
    reader(rules, 1, 10)
    fill(rules, most=1)
    head = rules.head
    probe = rules.open(2)
    rules.request(probe, 50, 50, 0.0, fresh=True)

    decision = rules.decide(0.0)

    assert isinstance(decision, Read)
    assert (decision.first, decision.detour) == (50, True)
    rules.filled(decision, 0.1)
    assert rules.head == head


def test_who_has_waited_a_turn_gets_its_block_off_the_sweep() -> None:
    """R1a: not before ``turn`` seconds, and then ahead of a nearer block of the sweep."""
    rules = make_rules(slots=64)
    late = reader(rules, 1, 0)
    rules.request(late, 0, 0, 0.0, fresh=False)
    reader(rules, 2, 50)
    rules.begin_at(50)

    early = rules.decide(TURN - 0.1)
    assert isinstance(early, Read)
    rules.filled(early, 0.1)
    overdue = rules.decide(TURN)

    assert (early.first, early.detour) == (50, False)
    assert isinstance(overdue, Read)
    assert (overdue.first, overdue.detour) == (0, True)


def test_detours_get_at_most_half_of_the_sources_time() -> None:
    """R1a: as long as the sweep has work, a detour is paid for with as much sweeping."""
    rules = make_rules(blocks=1000, slots=200, run=2)
    walker = reader(rules, 1, 0)
    spent = {True: 0.0, False: 0.0}
    for i in range(60):
        probe = rules.open(100 + i)
        rules.request(probe, 500 + i, 500 + i, float(i), fresh=True)
        rules.move(walker, rules.head, sequential=True, now=float(i))
        decision = rules.decide(float(i))
        assert isinstance(decision, Read)
        seconds = 0.3 if decision.detour else 0.1
        rules.filled(decision, seconds)
        spent[decision.detour] += seconds

    assert spent[True] <= spent[False] + 0.3
    assert spent[True] > 0.0


def test_the_block_used_farthest_in_the_future_goes() -> None:
    """R2: of what two readers leave between them, the block farthest ahead of its next reader."""
    rules = make_rules(blocks=1000, slots=16, run=1, strict=False)
    reader(rules, 1, 0)
    reader(rules, 2, 40)
    fill(rules)
    for front in range(41, 60):
        rules.move(rules.open_cursors[2], front, sequential=True, now=0.0)
        fill(rules)

    left_behind = {block for block in resident(rules) if block < 59 and block >= 8}

    assert left_behind == set(range(40, 40 + len(left_behind)))


def test_of_what_nobody_needs_the_highest_goes_first() -> None:
    """R2: the beginning stays, for the next newcomer begins there."""
    rules = make_rules(slots=16, run=1)
    point = reader(rules, 1, 0)
    for at in range(60):
        rules.move(point, at, sequential=True, now=0.0)
        fill(rules)

    assert {0, 1, 2, 3} <= resident(rules)


def test_the_front_waits_for_one_in_reach_behind_it() -> None:
    """R3: with the ring full of what the hindmost needs, the front gets no further."""
    rules = make_rules(blocks=1000, slots=16, run=1)
    reader(rules, 1, 0)
    front = reader(rules, 2, 0)
    for _ in range(100):
        fill(rules)
        if front.block in rules.residency.slot_of:
            rules.move(front, front.block + 1, sequential=True, now=0.0)
    rules.request(front, front.block, front.block, 0.0, fresh=False)

    decision = rules.decide(TURN)

    assert front.block <= rules.slots
    assert set(range(front.block)) <= resident(rules)
    assert decision == Rest(PATIENCE)
    assert rules.waits(TURN) == {front.id: 1}


def test_pace_free_lets_the_front_go() -> None:
    """Without R3 the front takes the slots of what the hindmost needs farthest in the future."""
    rules = make_rules(blocks=1000, slots=16, run=1, strict=False)
    reader(rules, 1, 0)
    front = reader(rules, 2, 0)
    for at in range(100):
        rules.move(front, at, sequential=True, now=0.0)
        fill(rules)

    assert 100 in resident(rules)


def test_one_out_of_reach_holds_nobody() -> None:
    """R3 is about those at most K blocks behind: a reader farther behind has lost its place anyway."""
    rules = make_rules(blocks=1000, slots=16, run=1)
    reader(rules, 1, 0)
    front = reader(rules, 2, 500)
    for at in range(500, 600):
        rules.move(front, at, sequential=True, now=0.0)
        fill(rules)

    assert 600 in resident(rules)


def test_after_patience_one_that_takes_nothing_holds_nobody() -> None:
    """R5: the front is held until then, and the producer knows when to look again."""
    rules = make_rules(blocks=1000, slots=16, run=1)
    stopped = reader(rules, 1, 0, now=0.0)
    front = reader(rules, 2, 0, now=0.0)
    for at in range(1, 16):
        fill(rules, now=1.0)
        rules.move(front, at, sequential=True, now=1.0)
    rules.request(front, 15, 15, 1.0, fresh=False)

    assert rules.decide(1.0 + TURN) == Rest(PATIENCE)
    assert rules.dormant(stopped, PATIENCE) is True
    assert isinstance(rules.decide(PATIENCE), Read)


def test_its_next_ask_makes_a_dormant_one_live() -> None:
    """R5: it loses nothing, and what it needs is wanted again."""
    rules = make_rules()
    stopped = reader(rules, 1, 0, now=0.0)
    fill(rules, now=0.0)

    rules.request(stopped, 50, 50, 100.0, fresh=False)

    assert rules.dormant(stopped, 100.0) is False


def test_one_that_waits_for_us_is_not_dormant() -> None:
    """R5 is about those who don't take what they could have, not about a slow source."""
    rules = make_rules()
    waiting = reader(rules, 1, 5, now=0.0)
    rules.request(waiting, 5, 5, 0.0, fresh=False)

    assert rules.dormant(waiting, 1000.0) is False


def test_what_readers_hold_is_counted_until_they_have_it() -> None:
    """A gauge: resident blocks that a live reader still needs; none once it is through, gone or dormant."""
    rules = make_rules()
    point = reader(rules, 1, 0)
    fill(rules)
    held = [rules.held(0.0)]
    rules.move(point, 3, sequential=True, now=0.0)
    held.append(rules.held(0.0))
    held.append(rules.held(PATIENCE))
    rules.close(point)
    held.append(rules.held(0.0))

    assert held == [8, 5, 0, 0]


def test_a_leaving_reader_frees_what_only_it_needed() -> None:
    """The front goes on as soon as the one that it waited for is gone."""
    rules = make_rules(blocks=1000, slots=16, run=1)
    hindmost = reader(rules, 1, 0)
    front = reader(rules, 2, 0)
    for at in range(1, 15):
        fill(rules)
        rules.move(front, at, sequential=True, now=0.0)
    fill(rules)
    assert isinstance(rules.decide(0.0), Rest)

    assert rules.close(hindmost) is True
    assert isinstance(rules.decide(0.0), Read)


def test_a_jumping_reader_is_served_while_a_pack_fills_the_ring() -> None:
    """The reserve: a probe is answered though R3 keeps all else, and takes nothing that the pack needs."""
    rules = make_rules(blocks=1000, slots=16, run=1)
    reader(rules, 1, 0)
    front = reader(rules, 2, 0)
    for at in range(1, 15):
        fill(rules)
        rules.move(front, at, sequential=True, now=0.0)
    fill(rules)
    needed = resident(rules)
    for number in range(3, 9):
        probe = rules.open(number)
        ask = rules.request(probe, 900 - number, 900 - number, 0.0, fresh=True)
        read = rules.decide(0.0)
        assert isinstance(read, Read)
        assert (read.first, read.detour) == (900 - number, True)
        rules.filled(read, 0.01)
        rules.answered(ask, 0.0)

    assert needed <= resident(rules)


def test_an_image_that_fits_the_ring_is_read_once_and_stays() -> None:
    """The last line of the table in the semantics page: S for all readers to come."""
    rules = make_rules(blocks=16, slots=16, run=4)
    reads = []
    for number in range(3):
        point = reader(rules, number, 0)
        for at in range(17):
            rules.move(point, at, sequential=True, now=0.0)
            reads += fill(rules)

    assert sorted(block for read in reads for block in read.blocks) == list(range(16))


@pytest.mark.parametrize("readers", [1, 2, 3, 8, 40])
def test_what_never_goes_covers_at_most_half_of_the_ring(readers: int) -> None:
    """However many readers, wherever they are: the rest is there for what they share."""
    rules = make_rules(blocks=10_000, slots=16, run=4)
    for number in range(readers):
        reader(rules, number, number * 200)
    fill(rules)

    assert sum(rules.ahead.guarded_of(position) for position in rules.cursors.at.values()) <= 8


def test_one_that_waits_for_the_sweep_takes_no_look_ahead_from_the_others() -> None:
    """A newcomer at 0 has nothing yet: the front goes on with all of its look-ahead, and keeps the head."""
    rules = make_rules(blocks=1000, slots=16, run=4)
    front = reader(rules, 1, 500)
    rules.request(front, 500, 500, 0.0, fresh=True)
    first = rules.decide(0.0)
    assert isinstance(first, Read)
    rules.filled(first, 0.0)
    late = reader(rules, 2, 0)
    rules.request(late, 0, 0, 0.0, fresh=False)

    assert [500, 504] == [first.first, *(read.first for read in fill(rules, most=1))]


def test_a_look_ahead_takes_no_slot_from_what_is_needed_sooner() -> None:
    """Do no harm: beyond what never goes, a block is read ahead only for one that is used later."""
    rules = make_rules(blocks=1000, slots=8, run=1, strict=False)
    for number, at in enumerate((100, 200, 300, 400)):
        reader(rules, number, at)

    reads = fill(rules, most=100)

    assert len(reads) == len({block for read in reads for block in read.blocks})


def test_what_was_asked_for_is_read_whatever_has_to_go_for_it() -> None:
    """Do no harm is for what is looked ahead for: a request over two blocks gets its second."""
    rules = make_rules(blocks=15, slots=3, run=1, strict=False)
    for block in (7, 10, 11):
        rules.residency.add(block, rules.residency.lend_slot(after=-1))
    reader(rules, 1, 10)
    straddling = reader(rules, 2, 7)
    rules.request(straddling, 7, 8, 0.0, fresh=False)

    decision = rules.decide(0.0)

    assert isinstance(decision, Read)
    assert (8, {7, 10}) == (decision.first, resident(rules))


def test_what_was_asked_for_is_read_and_not_all_that_lies_before_it() -> None:
    """A reader with several requests at once, the farthest beyond its look-ahead: that is read next."""
    rules = make_rules(slots=4, run=4)
    point = reader(rules, 1, 0)
    rules.request(point, 11, 12, 0.0, fresh=False)

    reads = fill(rules)

    assert [block for read in reads for block in read.blocks] == [0, 1, 11]


def test_a_pack_leaves_room_for_the_look_ahead_of_those_out_of_reach() -> None:
    """A front goes less far ahead of its pack when somebody far behind needs slots for its own look-ahead."""

    def front_gets_to(*others: int) -> int:
        rules = make_rules(blocks=1000, slots=64, run=4)
        front = reader(rules, 1, 100)
        for number, at in enumerate((100, *others), 2):
            reader(rules, number, at)
        for _ in range(200):
            fill(rules)
            if front.block in resident(rules):
                rules.move(front, front.block + 1, sequential=True, now=0.0)
        return front.block

    in_reach = 100 + 64 - make_rules(slots=64).reserve
    assert front_gets_to() == in_reach // 4 * 4
    assert front_gets_to(500) == in_reach - 16


@pytest.mark.parametrize(("expensive", "used"), [(False, 64), (True, 16)])
def test_memory_that_is_dear_is_not_taken_for_what_nobody_needs(used: int, *, expensive: bool) -> None:
    """Beyond a modest ring what one reader leaves behind goes, and each block is still read once."""
    world = World(Rules(blocks=64, slots=64, run=2, patience=10.0, turn=1e9, cheap_slots=16))
    world.rules.set_memory_cost(is_expensive=expensive)
    reader = world.join()
    while not reader.done:
        world.step(reader.cursor.id)
        world.produce()

    assert used == world.rules.residency.used
    assert list(range(64)) == world.reads


def test_memory_that_is_dear_is_taken_for_what_somebody_needs() -> None:
    """A slow reader far behind a fast one loses nothing."""
    world = World(Rules(blocks=64, slots=64, run=2, patience=10.0, turn=1e9, cheap_slots=16))
    world.rules.set_memory_cost(is_expensive=True)
    slow, fast = world.join(), world.join()
    world.step(slow.cursor.id)
    while not fast.done:
        world.step(fast.cursor.id)
        world.produce()
    while not slow.done:
        world.step(slow.cursor.id)
        world.produce()

    assert list(range(64)) == world.reads
