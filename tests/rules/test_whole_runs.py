"""Runs are whole where that costs nobody anything: a read has its price, and so has a decision."""

from fanoutfs.ring.cursor import Cursor
from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.rules import Rules
from tests.rules.world import World

BLOCKS, SLOTS, RUN = 4096, 64, 8


def make_rules(*, strict: bool = True) -> Rules:
    return Rules(blocks=BLOCKS, slots=SLOTS, run=RUN, patience=10.0, turn=2.0, strict=strict)


def reader(rules: Rules, at: int) -> Cursor:
    point = rules.open(len(rules.open_cursors))
    rules.move(point, at, sequential=True, now=0.0)
    return point


def spread(rules: Rules, hindmost: int, front: int) -> list[Cursor]:
    """Have eight readers between two blocks, with all that the hindmost needs up to the front there."""
    for block in range(hindmost, front):
        rules.residency.add(block, rules.residency.lend_slot(after=-1))
    rules.begin_at(front)
    return [reader(rules, front - number * (front - hindmost) // 7) for number in range(8)]


def run_of(rules: Rules) -> range:
    decision = rules.decide(0.0)
    assert isinstance(decision, Read)
    rules.filled(decision, 0.0)
    return decision.blocks


def test_a_run_goes_on_in_slots_that_nobody_needs() -> None:
    """Eight share so little look-ahead that runs of it would have two blocks; what is behind them goes."""
    rules = make_rules()
    for block in range(1024 - 64, 1024 - 49):
        rules.residency.add(block, rules.residency.lend_slot(after=-1))
    spread(rules, 1024 - 49, 1024)

    assert range(1024, 1032) == run_of(rules)
    assert rules.ahead.run_boundary < RUN


def test_a_run_begins_anywhere_and_ends_at_its_border() -> None:
    """So that the next one is whole."""
    rules = make_rules()
    spread(rules, 1000, 1027)

    assert range(1027, 1032) == run_of(rules)


def test_a_run_does_not_go_on_where_nobody_needs_it() -> None:
    """All but one turn back before the border, and that one's way ends there, too."""
    rules = make_rules()
    for point in spread(rules, 1000, 1024):
        point.end = 1028
        rules.cursors.changed(point)

    blocks = run_of(rules)

    assert blocks.start == 1024
    assert blocks.stop <= 1028


def test_a_run_does_not_go_on_where_another_pack_may_want_the_slots() -> None:
    """One is far behind: runs have what the look-ahead says."""
    rules = make_rules()
    reader(rules, 100)
    spread(rules, 1000, 1024)

    assert run_of(rules).stop % rules.ahead.run_boundary == 0
    assert rules.head < 1032


def test_a_run_does_not_go_on_without_pace() -> None:
    """There nobody keeps what was read ahead from going before it is used."""
    rules = make_rules(strict=False)
    spread(rules, 1000, 1024)

    assert run_of(rules).stop % rules.ahead.run_boundary == 0
    assert rules.head < 1032


def test_a_front_that_waits_for_one_behind_gets_whole_runs() -> None:
    """The hindmost goes on block by block; the front has a run when there is room for all of it."""
    rules = make_rules()
    *others, hindmost = spread(rules, 1008, 1064)
    for other in others:
        rules.move(other, 1064, sequential=True, now=0.0)
    asleep = rules.decide(0.0)
    runs, woken = [], []
    for block in range(1009, 1033):
        if rules.move(hindmost, block, sequential=True, now=0.0):
            woken.append(block)
            runs.append(run_of(rules))
            for other in others:
                rules.move(other, rules.head, sequential=True, now=0.0)
            assert isinstance(rules.decide(0.0), Rest)

    assert isinstance(asleep, Rest)
    assert [range(1064, 1072), range(1072, 1080), range(1080, 1088)] == runs
    assert [1010, 1018, 1026] == woken, "62 slots are there for the pack: two are the reserve"


def test_who_is_not_waited_for_wakes_nobody() -> None:
    """While the front waits for the hindmost, a decision for those between would be for nothing."""
    rules = make_rules()
    front, *between, hindmost = spread(rules, 1008, 1064)
    assert isinstance(rules.decide(0.0), Rest)

    for point in between:
        for block in range(point.block + 1, 1065):
            assert not rules.move(point, block, sequential=True, now=0.0)
            assert isinstance(rules.decide(0.0), Rest)
    assert front.block == 1064
    assert rules.close(hindmost)


def test_eight_that_span_the_ring_are_served_in_whole_runs() -> None:
    """Seven as fast as memory, one slower: each read is of a whole run, few decisions are for nothing."""
    world = World(Rules(blocks=512, slots=SLOTS, run=RUN, patience=1e9, turn=1e9))
    walkers = [world.join() for _ in range(8)]
    slow = walkers[0].cursor.id
    reads: list[int] = []
    rests = 0
    while not all(walker.done for walker in walkers):
        for number in world.walkers:
            world.step(number, 1 if number == slow else RUN)
        world.answer_all()
        decision = world.begin()
        if isinstance(decision, Read):
            reads.append(len(decision.slots))
        rests += isinstance(decision, Rest)
        world.end()

    assert [RUN] * (512 // RUN) == reads
    assert rests <= 3 * len(reads)
