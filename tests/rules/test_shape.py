"""Chains, trees and stars as groups of nodes that nothing tells apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.errors import UsageError
from fanoutfs.simulate.network.shape import behind, children_of, depths, grouped, one_by_one, totals
from fanoutfs.simulate.scenario import Nodes


@given(count=st.integers(1, 300), children=st.integers(1, 9))
def test_groups_are_a_tree_filled_level_by_level(count: int, children: int) -> None:
    """As many nodes at each depth, with as many behind them, as when each is placed by itself."""
    above = [None if i < children else i // children - 1 for i in range(count)]
    single = tuple(Nodes(above=number) for number in above)
    nodes = tuple(grouped(Nodes(), count, children))

    def placed(tree: tuple[Nodes, ...]) -> list[tuple[int, int]]:
        rows = zip(totals(tree), depths(tree), behind(tree), strict=True)
        return sorted((depth, after) for total, depth, after in rows for _ in range(total))

    assert placed(single) == placed(nodes)


def test_a_star_is_one_group_and_a_chain_as_many_as_it_has_nodes() -> None:
    """In a star all are alike; in a chain each has another number behind it; a full tree is its levels."""
    assert [1, 6, 2] == [len(grouped(Nodes(), 6, children)) for children in (6, 1, 2)]


def test_nodes_that_come_one_by_one_are_each_for_itself() -> None:
    """Each with its time, behind one that was there before, and with its target's time."""
    nodes = one_by_one(Nodes(above=3, at=10.0), 5, 2, 60.0, first=4)
    assert [3, 3, 4, 4, 5] == [entry.above for entry in nodes]
    assert [10.0, 70.0, 130.0, 190.0, 250.0] == [entry.at for entry in nodes]


@pytest.mark.parametrize(
    ("words", "children"), [("chain", 1), ("star", 12), ("tree:4", 4), ("tree:100", 100)]
)
def test_a_shape_says_how_many_are_behind_one(words: str, children: int) -> None:
    """All shapes are trees."""
    assert children == children_of(words, 12)


@pytest.mark.parametrize("words", ["", "tree", "tree:0", "tree:-1", "ring", "Chain", "tree:4x"])
def test_other_words_are_no_shape(words: str) -> None:
    """What can't be meant is wrong usage, not a guess."""
    with pytest.raises(UsageError, match="is not a shape; write chain, star or tree:4"):
        children_of(words, 12)
