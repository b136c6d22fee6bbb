from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.ring.residency import Residency

BLOCKS = 12
some_blocks = st.sets(st.integers(0, BLOCKS - 1))


def with_resident(blocks: set[int], order: list[int]) -> Residency:
    residency = Residency(BLOCKS, BLOCKS)
    for block in sorted(blocks, key=order.index):
        residency.add(block, residency.lend_slot(after=-1))
    return residency


orders = st.permutations(range(BLOCKS))


@given(some_blocks, some_blocks, orders)
def test_arcs_are_the_unbroken_stretches(added: set[int], removed: set[int], order: list[int]) -> None:
    """Whatever was added and removed in any order, arcs are exactly the resident blocks, joined."""
    residency = with_resident(added, order)
    for block in removed & added:
        residency.remove(block)
    resident = added - removed

    arcs = list(residency.arcs())

    assert {block for start, end in arcs for block in range(start, end)} == resident
    assert all(end < start for (_, end), (start, _) in pairwise(arcs))
    assert set(residency.slot_of) == resident


@given(some_blocks, orders, st.integers(0, BLOCKS), st.integers(0, BLOCKS))
def test_queries_agree_with_a_search(resident: set[int], order: list[int], begin: int, end: int) -> None:
    """first_absent, first_resident and highest_below return what a search of every block does."""
    residency = with_resident(resident, order)
    absent = [block for block in range(begin, end) if block not in resident]
    present = [block for block in range(begin, end) if block in resident]
    below = [block for block in resident if block < end]

    assert residency.first_absent(begin, end) == (absent[0] if absent else None)
    if begin <= end:
        assert residency.first_resident(begin, end) == (present[0] if present else end)
    assert residency.highest_below(end) == (max(below) if below else None)


@given(some_blocks, orders)
def test_no_two_blocks_share_a_slot(resident: set[int], order: list[int]) -> None:
    """A slot holds one block, and free and held slots are all the slots."""
    residency = with_resident(resident, order)

    assert len(set(residency.slot_of.values())) == len(resident)
    assert residency.free + len(resident) == BLOCKS


def test_blocks_read_in_one_run_get_adjoining_slots() -> None:
    """A run's slots adjoin where free ones do, so a read over several blocks needs no copy."""
    residency = Residency(8, 100)
    slot = -1
    slots = [slot := residency.lend_slot(after=slot) for _ in range(8)]

    assert slots == list(range(8))
