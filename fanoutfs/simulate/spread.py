"""What nodes come to: by arithmetic where that is exact, else by asking the rules at each node."""

from fanoutfs.simulate.flow import by_flow, flows
from fanoutfs.simulate.groups import Spread
from fanoutfs.simulate.relay import by_rules
from fanoutfs.simulate.scenario import Scenario


def spread(scenario: Scenario) -> Spread:
    """Run a scenario with nodes to its end.

    Raises UnusableError when the rules come to a standstill, which they never should.
    """
    return by_flow(scenario) if flows(scenario) else by_rules(scenario)
