"""Nodes that join late, die, or share a link unequally. One unit: a block of a byte, read in a second."""

import math
import os
from itertools import pairwise
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanoutfs.errors import UnusableError
from fanoutfs.ring.decision import Rest
from fanoutfs.ring.rules import Rules
from fanoutfs.settings import RUN
from fanoutfs.simulate.network.groups import Spread
from fanoutfs.simulate.network.relay import spread
from fanoutfs.simulate.scenario import Nodes, Scenario, SimulatedReader, Wire
from fanoutfs.units import MIB

GIB = 1024 * MIB

EXAMPLES = int(os.environ.get("FANOUTFS_EXAMPLES", "12"))
"""How many trees are drawn: always the same, unless the variable asks for more."""

PASS = 400
"""Blocks of the image, and seconds of a pass."""

SHORT = 80
"""The same, for random trees."""


def outcome(*nodes: Nodes, size: int = PASS, **said: Any) -> Spread:
    usual = {"ring": 40, "block": 1, "run": 1, "source_rate": 1.0, "turn": size / 10, "patience": size / 10}
    return spread(Scenario(size=size, readers=(), nodes=nodes, **(usual | said)))


def node(at: float = 0.0, **said: Any) -> Nodes:
    """Return a node whose target joins with it."""
    usual: dict[str, Any] = {"at": at, "targets": (SimulatedReader(at=at, order="carousel"),)}
    return Nodes(**(usual | said))


def done(found: Spread) -> list[float | None]:
    return [None if group.done is None else round(group.done) for group in found.groups]


def test_nodes_that_join_together_are_sent_one_pass_each() -> None:
    """The source is read once, and an image is sent to each."""
    found = outcome(node(count=5))
    assert (PASS, 5 * PASS, [PASS]) == (found.source_bytes, found.sent, done(found))


def test_one_copy_crosses_each_link_of_a_chain() -> None:
    """Each node has everything a block after the one before."""
    wire = Wire(rate=1.0)
    found = outcome(*(node(above=i - 1 if i else None, wire=wire) for i in range(4)))
    assert [PASS] * 4 == [found.sent, *(group.sent for group in found.groups[:3])]
    assert [PASS + i for i in range(1, 5)] == done(found)


def test_a_late_node_begins_at_the_head() -> None:
    """It has everything a pass after it joined; the source continues to where it began."""
    found = outcome(node(), node(at=PASS / 2))
    assert 1.5 - 40 / PASS <= found.passes <= 1.5
    assert [PASS, PASS + PASS // 2] == pytest.approx(done(found), abs=45)
    assert 2 * PASS == found.sent


def test_a_node_behind_a_late_node_begins_where_that_node_is() -> None:
    """One copy crosses the link before both, and the rest that the last node missed."""
    found = outcome(node(), node(at=100.0), node(at=200.0, above=1), ring=20)
    first, second = found.groups[1:]
    assert PASS <= first.sent <= PASS + 2
    assert 100 + PASS - 20 <= (first.done or 0.0) <= 100 + PASS + 5
    assert 200 + PASS - 2 * 20 <= (second.done or 0.0) <= 200 + PASS + 5
    assert 1.5 - 2 * 20 / PASS <= found.passes <= 1.5


def test_a_card_is_shared_by_the_nodes_that_need_it() -> None:
    """Each of four gets a quarter; a slow node gets what it can take, and the rest is for the others."""
    alike = outcome(node(count=4), card=2.0, source_rate=10.0)
    slow = node(wire=Wire(rate=0.2))
    unlike = outcome(node(count=2), slow, card=2.0, source_rate=10.0, pace="free", ring=PASS)
    assert [4 * PASS / 2] == pytest.approx(done(alike), abs=2)
    assert [2 * PASS / 1.8, PASS / 0.2] == pytest.approx(done(unlike), rel=0.02)


def test_a_request_costs_a_round_trip() -> None:
    """For each run, here a block."""
    found = outcome(node(wire=Wire(rate=1.0, latency=0.25)), source_rate=100.0)
    assert [round(1.5 * PASS)] == pytest.approx(done(found), abs=2)


def test_no_node_behind_a_dead_one_has_the_image() -> None:
    """The nodes before it wait for it for the patience, less what their rings take meanwhile."""
    wire = Wire(rate=1.0)
    behind = node(above=0, wire=wire, dies=100.0), node(above=1, wire=wire), node(above=2, wire=wire)
    found = outcome(node(wire=wire), *behind, ring=20)
    first, *rest = found.groups
    assert [None, None, None] == [group.done for group in rest]
    assert PASS + 40 - 20 <= (first.done or 0.0) <= PASS + 40 + 5
    assert 95 <= first.sent <= 102
    assert found.done_after(1) is None
    assert first.done == found.done_after(0.25)


def test_a_dead_node_is_not_waited_for_in_a_free_pace() -> None:
    """The node before it is as fast as alone."""
    found = outcome(node(), node(above=0, dies=100.0), pace="free")
    assert [PASS, None] == done(found)


def test_a_slow_node_is_not_waited_for_in_a_free_pace() -> None:
    """It reads blocks again that its neighbour has evicted: more than one copy crosses the link above."""
    slow = Wire(rate=0.4)
    strict = outcome(node(), node(above=0, wire=slow), ring=20)
    free = outcome(node(), node(above=0, wire=slow), ring=20, pace="free")
    assert [1000 - 20 / 0.4, 1000] == pytest.approx(done(strict), abs=10)
    assert (PASS, PASS) == (strict.sent, strict.source_bytes)
    assert PASS == pytest.approx(done(free)[0], rel=0.03)
    assert free.sent > 1.5 * PASS


def test_a_nodes_ring_lets_a_fast_target_run_ahead() -> None:
    """A fast target beside a slow one is done before it by the size of the ring."""
    targets = (SimulatedReader(order="carousel"), SimulatedReader(order="carousel", rate=0.5))
    found = outcome(Nodes(targets=targets, ring=200), ring=20)
    assert [2 * PASS] == pytest.approx(done(found), abs=5)


def chain(*nodes: Nodes, runs: int = 40, **said: Any) -> list[float]:
    """Return when each node of a chain has an image of ``runs`` runs of a mount, in blocks of a run."""
    placed = tuple(attrs.evolve(entry, above=i - 1 if i else None) for i, entry in enumerate(nodes))
    usual: dict[str, Any] = {"ring": 8 * RUN, "block": RUN, "source_rate": math.inf, "readers": ()}
    found = spread(Scenario(size=runs * RUN, nodes=placed, **(usual | said)))
    assert (runs * RUN, runs * RUN) == (found.source_bytes, found.sent)
    return [group.done or math.inf for group in found.groups]


@pytest.mark.parametrize("latency", [0.0, 0.0001, 0.05])
def test_a_chain_of_equal_links_takes_the_image_once_and_a_run_for_each_further_link(latency: float) -> None:
    """The formula of docs/many-machines.md; the time that each link adds is compared by itself."""
    rate = 100.0 * MIB
    link = Nodes(wire=Wire(rate=rate, latency=latency), card=rate)
    found = chain(*[link] * 10, card=rate)
    first, further = 40 * (RUN / rate + 2 * latency), RUN / rate + latency
    assert first == pytest.approx(found[0], rel=0.01)
    assert [further] * 9 == pytest.approx([after - before for before, after in pairwise(found)], rel=0.01)


@pytest.mark.parametrize("slowest", range(5))
def test_a_chain_goes_at_the_rate_of_its_slowest_part(slowest: int) -> None:
    """Its runs, and one run over each of the others; the source is the first part."""
    rates = [(25.0 if i == slowest else 100.0) * MIB for i in range(5)]
    found = chain(*(Nodes(wire=Wire(rate=rate)) for rate in rates[1:]), source_rate=rates[0])
    assert 40 * RUN / (25.0 * MIB) + 4 * RUN / (100.0 * MIB) == pytest.approx(found[-1], rel=0.01)


def test_the_nodes_before_a_slow_node_run_ahead_by_their_rings() -> None:
    """Then they have its rate; the nodes behind it have the image when it has."""
    fast, slow = Nodes(wire=Wire(rate=100.0 * MIB)), Nodes(wire=Wire(rate=10.0 * MIB))
    found = chain(fast, fast, slow, fast, fast, runs=64, source_rate=100.0 * MIB)
    # 512 MiB at 10 MiB/s; the second has a ring of 64 MiB less to wait for, the first two.
    assert [38.4, 44.8, 51.2, 51.2, 51.2] == pytest.approx(found, rel=0.06)


def test_a_slow_reader_of_the_source_delays_the_nodes() -> None:
    """It is waited for as anywhere."""
    (found,) = chain(Nodes(wire=Wire(rate=100.0 * MIB)), runs=64, readers=(SimulatedReader(rate=10.0 * MIB),))
    assert 51.2 - 6.4 == pytest.approx(found, rel=0.06)


@st.composite
def comers(draw: st.DrawFn) -> tuple[Nodes, ...]:
    """Return a tree whose nodes join at any time, over links of any rate."""
    nodes: list[Nodes] = []
    for number in range(draw(st.integers(1, 6))):
        above = draw(st.sampled_from([None, *range(number)]))
        joined = 0.0 if above is None else nodes[above].at
        at = joined + draw(st.sampled_from([0.0, 0.5, 7.0, 30.0, 100.0]))
        orders = draw(st.lists(st.sampled_from(["carousel", "image"]), min_size=1, max_size=2))
        drawn: dict[str, Any] = {
            "count": draw(st.sampled_from([1, 1, 3])),
            "wire": Wire(
                rate=draw(st.sampled_from([math.inf, 2.0, 0.7])), latency=draw(st.sampled_from([0.0, 0.3]))
            ),
            "card": draw(st.sampled_from([math.inf, 3.0])),
            "ring": draw(st.sampled_from([None, 4, SHORT])),
        }
        rates = [draw(st.sampled_from([None, 0.8])) for _ in orders]
        targets = tuple(SimulatedReader(at=at, order=o, rate=r) for o, r in zip(orders, rates, strict=True))  # type: ignore[arg-type]
        nodes.append(Nodes(above=above, at=at, targets=targets, **drawn))
    return tuple(nodes)


@settings(max_examples=EXAMPLES, deadline=None, derandomize="FANOUTFS_EXAMPLES" not in os.environ)
@given(comers(), st.sampled_from(["strict", "free"]), st.sampled_from([4, 12]))
def test_every_node_gets_everything(nodes: tuple[Nodes, ...], pace: Any, ring: int) -> None:
    """Not before its links allow it, and each node is sent the image at least once."""
    found = outcome(*nodes, pace=pace, size=SHORT, ring=ring, card=5.0)
    for group in found.groups:
        slowest = max(1 / group.nodes.wire.rate, *(1 / (t.rate or math.inf) for t in group.nodes.targets))
        assert (group.took or 0.0) >= (SHORT - ring) * slowest
    children = [sum(n.count for n in nodes if n.above == above) for above in [None, *range(len(nodes))]]
    sent = [found.sent, *(group.sent for group in found.groups)]
    assert all(count * SHORT <= had for count, had in zip(children, sent, strict=True))


def test_coarse_blocks_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks passed on whole are larger than a mount's, if the work would otherwise be too much."""
    monkeypatch.setattr("fanoutfs.simulate.grain.WORK", 5000)
    nodes = tuple(node(at=float(i), wire=Wire(rate=100.0 * MIB)) for i in range(4))
    scenario = Scenario(size=GIB, ring=GIB, run=MIB, readers=(), nodes=nodes)
    found = spread(scenario)
    assert found.coarse
    assert found.block > scenario.run


def test_rules_that_stand_still_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation ends with an error where mounts would hang."""
    monkeypatch.setattr(Rules, "decide", lambda _rules, _now: Rest())
    with pytest.raises(UnusableError, match="the rules stand still at 0 s with 2 readers waiting"):
        outcome(node(), attrs.evolve(node(), above=0))
