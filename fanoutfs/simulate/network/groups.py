"""What a scenario with nodes came to. Values, nothing else."""

import attrs

from fanoutfs.simulate.network.shape import behind, depths, totals
from fanoutfs.simulate.scenario import Nodes, Scenario


@attrs.frozen(kw_only=True)
class Group:
    """What became of nodes that nothing tells apart; seconds since the scenario began, bytes."""

    nodes: Nodes
    total: int
    """How many they are in all."""
    depth: int
    """Links between each and the machine with the source."""
    behind: int
    """Nodes behind each one."""
    done: float | None
    """When each has all of its targets; None: it died before, or one above it."""
    sent: int
    """What each has sent."""

    @property
    def took(self) -> float | None:
        """From when each joined until it had everything."""
        return None if self.done is None else self.done - self.nodes.at


@attrs.frozen(kw_only=True)
class Spread:
    """What one run came to."""

    scenario: Scenario
    block: int
    """What was modelled at a time, in bytes."""
    coarse: bool
    """That is more than a mount reads at a time."""
    source_bytes: int
    sent: int
    """Bytes that left the machine with the source."""
    groups: tuple[Group, ...]

    @property
    def passes(self) -> float:
        """What was read of the source, in images."""
        return self.source_bytes / self.scenario.size

    def done_after(self, share: float) -> float | None:
        """Say after how many seconds this share of all nodes had everything; None: they never had."""
        left = share * sum(group.total for group in self.groups)
        for seconds, total in sorted((g.done, g.total) for g in self.groups if g.done is not None):
            left -= total
            if left <= 0:
                return seconds
        return None


def groups(scenario: Scenario, done: list[float | None], sent: list[int]) -> tuple[Group, ...]:
    """Put together what is known of each entry of the scenario's nodes."""
    nodes = scenario.nodes
    columns = zip(nodes, totals(nodes), depths(nodes), behind(nodes), done, sent, strict=True)
    return tuple(
        Group(nodes=entry, total=total, depth=depth, behind=after, done=end, sent=out)
        for entry, total, depth, after, end, out in columns
    )
