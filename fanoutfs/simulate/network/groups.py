"""The results of a scenario with nodes. Values, nothing else."""

import attrs

from fanoutfs.simulate.network.shape import behind, depths, totals
from fanoutfs.simulate.scenario import Nodes, Scenario


@attrs.frozen(kw_only=True)
class Group:
    """The result of identical nodes; seconds since the scenario began, bytes."""

    nodes: Nodes
    total: int
    """The number of these nodes in all."""
    depth: int
    """Links between each and the machine with the source."""
    behind: int
    """Nodes behind each one."""
    done: float | None
    """When each has completed all of its targets; None: it or a node above it died before."""
    sent: int
    """Bytes that each has sent."""

    @property
    def took(self) -> float | None:
        """Seconds from when each joined until it had everything."""
        return None if self.done is None else self.done - self.nodes.at


@attrs.frozen(kw_only=True)
class Spread:
    """The result of one run."""

    scenario: Scenario
    block: int
    """Bytes that were modelled at a time."""
    coarse: bool
    """Whether that is more than a mount reads at a time."""
    source_bytes: int
    sent: int
    """Bytes that left the machine with the source."""
    groups: tuple[Group, ...]

    @property
    def passes(self) -> float:
        """Bytes read from the source, in images."""
        return self.source_bytes / self.scenario.size

    def done_after(self, share: float) -> float | None:
        """Return after how many seconds this share of all nodes had everything; None if it never had."""
        left = share * sum(group.total for group in self.groups)
        for seconds, total in sorted((g.done, g.total) for g in self.groups if g.done is not None):
            left -= total
            if left <= 0:
                return seconds
        return None


def groups(scenario: Scenario, done: list[float | None], sent: list[int]) -> tuple[Group, ...]:
    """Return the result of each entry of the scenario's nodes."""
    nodes = scenario.nodes
    columns = zip(nodes, totals(nodes), depths(nodes), behind(nodes), done, sent, strict=True)
    return tuple(
        Group(nodes=entry, total=total, depth=depth, behind=after, done=end, sent=out)
        for entry, total, depth, after, end, out in columns
    )
