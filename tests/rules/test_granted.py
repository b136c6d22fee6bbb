"""Blocks that a consumer copies out of the ring itself: they stay until it frees them, and no longer."""

import math

import pytest

from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.rules import Rules

BLOCKS, SLOTS = 20, 4


def make_rules() -> Rules:
    return Rules(blocks=BLOCKS, slots=SLOTS, run=1, patience=10.0, turn=2.0, strict=False)


def full_ring(rules: Rules) -> None:
    """Have blocks 0 to 3 resident, which nobody needs."""
    for block in range(SLOTS):
        rules.residency.add(block, rules.residency.lend_slot(after=-1))


def probe(rules: Rules, block: int) -> None:
    """Have somebody wait for a block."""
    point = rules.open(1)
    rules.request(point, block, block, 0.0, fresh=True)


def test_all_is_granted_and_the_source_rests_until_one_is_freed() -> None:
    """Then that one goes at once, of all that is in the ring, and whoever freed it was told to say so."""
    rules = make_rules()
    full_ring(rules)
    rules.grant(range(SLOTS))
    probe(rules, 10)

    assert rules.decide(0.0) == Rest(math.inf)
    slot = rules.residency.slot_of[1]
    assert rules.release(range(1, 2))

    assert rules.decide(0.0) == Read(10, (slot,), detour=True)
    assert set(rules.residency.slot_of) == {0, 2, 3}


def test_a_block_granted_to_two_stays_until_both_have_freed_it() -> None:
    """The second's copy is as good as the first's."""
    rules = make_rules()
    full_ring(rules)
    rules.grant(range(SLOTS))
    rules.grant(range(2, 3))
    probe(rules, 10)
    rules.decide(0.0)

    rules.release(range(2, 3))
    assert rules.decide(0.0) == Rest(math.inf)
    rules.release(range(2, 3))
    assert isinstance(rules.decide(0.0), Read)
    assert set(rules.residency.slot_of) == {0, 1, 3}


def test_what_is_granted_behind_the_images_end_lies_at_its_beginning() -> None:
    """Unrolled blocks are granted and returned; those of the next lap are the same blocks."""
    rules = make_rules()
    full_ring(rules)
    rules.grant(range(BLOCKS, BLOCKS + SLOTS))
    rules.release(range(3, 4))
    probe(rules, 10)

    rules.decide(0.0)

    assert set(rules.residency.slot_of) == {0, 1, 2}
    assert dict(rules.granted) == {0: 1, 1: 1, 2: 1}


@pytest.mark.parametrize(
    ("resident", "head", "block", "expected"),
    [
        ({3, 4, 5}, 6, 3, True),
        ({3, 4, 5}, 6, 5, True),
        ({3, 5}, 6, 3, False),
        ({3, 4, 5}, 7, 3, False),
        ({3, 4, 5}, 6, 2, False),
        ({3, 4, 5}, 6, 7, False),
        (set(), 6, 6, True),
        ({18, 19, 0, 1}, 2, 18, True),
        ({18, 19, 0, 1}, 2, 17, False),
        ({18, 19, 1}, 2, 18, False),
        ({18, 19}, 0, 18, True),
        ({0}, 1, 0, True),
    ],
)
def test_whether_all_from_a_block_to_the_head_is_there(
    resident: set[int], head: int, block: int, *, expected: bool
) -> None:
    """Going round: over the image's end, with a gap, and where there is no way at all to the head."""
    rules = make_rules()
    for number in resident:
        rules.residency.add(number, rules.residency.lend_slot(after=-1))
    rules.begin_at(head)

    assert expected == rules.is_resident_up_to_head(block)
