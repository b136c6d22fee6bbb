"""Blocks granted to a consumer, which copies them out of the ring: they stay until it frees them."""

import math
from functools import partial

import pytest

from fanoutfs.ring.decision import Read, Rest
from fanoutfs.ring.rules import Rules
from tests.rules import rings
from tests.rules.rings import put, resident

BLOCKS, SLOTS = 20, 4
make_rules = partial(rings.make_rules, BLOCKS, SLOTS, strict=False)


def full_ring_and_probe() -> Rules:
    """Return rules with blocks 0 to 3 resident and unneeded, and a reader that waits for block 10."""
    rules = make_rules()
    put(rules, range(SLOTS))
    rules.request(rules.open(1), 10, 10, 0.0, fresh=True)
    return rules


def test_all_is_granted_and_the_source_rests_until_one_is_freed() -> None:
    """Then that block is evicted at once, and ``release`` returns that the producer should be woken."""
    rules = full_ring_and_probe()
    rules.grant(range(SLOTS))

    assert rules.decide(0.0) == Rest(math.inf)
    slot = rules.residency.slot_of[1]
    assert rules.release(range(1, 2))

    assert rules.decide(0.0) == Read(10, (slot,), detour=True)
    assert resident(rules) == {0, 2, 3}


def test_a_block_granted_to_two_stays_until_both_have_freed_it() -> None:
    """Both consumers copy it."""
    rules = full_ring_and_probe()
    rules.grant(range(SLOTS))
    rules.grant(range(2, 3))
    rules.decide(0.0)

    rules.release(range(2, 3))
    assert rules.decide(0.0) == Rest(math.inf)
    rules.release(range(2, 3))
    assert isinstance(rules.decide(0.0), Read)
    assert resident(rules) == {0, 1, 3}


def test_blocks_granted_beyond_the_images_end_are_those_at_its_beginning() -> None:
    """Unrolled blocks are granted and released; those of the next lap are the same blocks."""
    rules = full_ring_and_probe()
    rules.grant(range(BLOCKS, BLOCKS + SLOTS))
    rules.release(range(3, 4))

    rules.decide(0.0)

    assert resident(rules) == {0, 1, 2}
    assert dict(rules.granted) == {0: 1, 1: 1, 2: 1}


@pytest.mark.parametrize(
    ("present", "head", "block", "expected"),
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
def test_is_resident_up_to_head(present: set[int], head: int, block: int, *, expected: bool) -> None:
    """Going round: over the image's end, with a gap, and where no block lies before the head."""
    rules = make_rules()
    put(rules, present)
    rules.begin_at(head)

    assert expected == rules.is_resident_up_to_head(block)
