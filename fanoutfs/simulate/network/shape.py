"""The shapes in which nodes feed one another: chains, trees, stars, as groups of identical nodes. No I/O.

All three are a tree of k children, filled level by level: a chain has k = 1, a star as many as nodes.
"""

import re
from collections import Counter

import attrs

from fanoutfs.errors import UsageError
from fanoutfs.simulate.scenario import Nodes


def children_of(shape: str, count: int) -> int:
    """Return how many children a node has in a shape of ``count`` nodes.

    Raises UsageError for an unknown shape.
    """
    found = re.fullmatch(r"(chain)|(star)|tree:([1-9][0-9]{0,5})", shape)
    if found is None:
        raise UsageError(f"{shape!r} is not a shape; write chain, star or tree:4 (four children each)")
    return 1 if found[1] else count if found[2] else int(found[3])


def grouped(like: Nodes, count: int, children: int, *, first: int = 0) -> list[Nodes]:
    """Return entries for ``count`` nodes that begin together; identical nodes share one entry.

    Two nodes are identical when the same number of nodes is behind each. ``like`` gives all but the count,
    and the node above the whole. ``first``: the number of entries before these.
    """
    found: list[Nodes] = []
    to_place = [(like.above, count)]
    for above, forest in to_place:
        for size, alike in Counter(_sizes(forest, children)).items():
            if size:
                to_place.append((first + len(found), size - 1))
                found.append(attrs.evolve(like, above=above, count=alike))
    return found


def one_by_one(like: Nodes, count: int, children: int, every: float, *, first: int = 0) -> list[Nodes]:
    """Return ``count`` nodes, each of which joins ``every`` seconds after the one before, level by level."""
    return [
        attrs.evolve(
            like,
            at=like.at + i * every,
            above=like.above if i < children else first + i // children - 1,
            targets=tuple(attrs.evolve(target, at=target.at + i * every) for target in like.targets),
        )
        for i in range(count)
    ]


def totals(nodes: tuple[Nodes, ...]) -> list[int]:
    """Return the total number of nodes of each entry."""
    found: list[int] = []
    for entry in nodes:
        found.append(entry.count * (1 if entry.above is None else found[entry.above]))
    return found


def depths(nodes: tuple[Nodes, ...]) -> list[int]:
    """Return the number of links between each entry and the machine with the source."""
    found: list[int] = []
    for entry in nodes:
        found.append(1 if entry.above is None else found[entry.above] + 1)
    return found


def behind(nodes: tuple[Nodes, ...]) -> list[int]:
    """Return the number of nodes behind each node of an entry."""
    found = [0] * len(nodes)
    for i in range(len(nodes) - 1, -1, -1):
        above = nodes[i].above
        if above is not None:
            found[above] += nodes[i].count * (found[i] + 1)
    return found


def _sizes(count: int, children: int) -> list[int]:
    """Divide ``count`` nodes among the children of one; return the size of each child with all behind it."""
    children = min(children, count)
    if not children:
        return []
    full, level = 0, 1  # nodes of each child's complete levels; of its next one
    while count >= children * (full + level):
        full, level = full + level, level * children
        if children == 1:
            return [count]
    rest = count - children * full
    return [full + min(max(rest - i * level, 0), level) for i in range(children)]
