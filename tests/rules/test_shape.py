"""Chains, trees and stars as groups of equal nodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.errors import UsageError
from fanoutfs.simulate.network.shape import behind, children_of, depths, grouped, one_by_one, totals
from fanoutfs.simulate.scenario import Nodes


@given(count=st.integers(1, 300), children=st.integers(1, 9))
def test_groups_are_a_tree_filled_level_by_level(count: int, children: int) -> None:
    """As many nodes at each depth, with as many behind them, as if each was placed by itself."""
    above = [None if i < children else i // children - 1 for i in range(count)]
    single = tuple(Nodes(above=number) for number in above)
    nodes = tuple(grouped(Nodes(), count, children))

    def placed(tree: tuple[Nodes, ...]) -> list[tuple[int, int]]:
        rows = zip(totals(tree), depths(tree), behind(tree), strict=True)
        return sorted((depth, after) for total, depth, after in rows for _ in range(total))

    assert placed(single) == placed(nodes)


def test_a_star_is_one_group_and_a_chain_as_many_as_it_has_nodes() -> None:
    """A star's nodes are equal; in a chain each has a different number behind it; a full tree has levels."""
    assert [1, 6, 2] == [len(grouped(Nodes(), 6, children)) for children in (6, 1, 2)]


def test_nodes_that_come_one_by_one_are_groups_of_one() -> None:
    """Each has its time, and is behind a node that came before."""
    nodes = one_by_one(Nodes(above=3, at=10.0), 5, 2, 60.0, first=4)
    assert [3, 3, 4, 4, 5] == [entry.above for entry in nodes]
    assert [10.0, 70.0, 130.0, 190.0, 250.0] == [entry.at for entry in nodes]


@pytest.mark.parametrize(
    ("words", "children"), [("chain", 1), ("star", 12), ("tree:4", 4), ("tree:100", 100)]
)
def test_a_shape_is_a_number_of_children(words: str, children: int) -> None:
    """All shapes are trees."""
    assert children == children_of(words, 12)


@pytest.mark.parametrize("words", ["", "tree", "tree:0", "tree:-1", "ring", "Chain", "tree:4x"])
def test_an_invalid_shape_is_refused(words: str) -> None:
    """It is wrong usage: nothing is guessed."""
    with pytest.raises(UsageError, match="is not a shape; write chain, star or tree:4"):
        children_of(words, 12)
