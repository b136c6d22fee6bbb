"""Nodes that begin together, by arithmetic: against the formula of a pipeline, and against the rules."""

import math
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanoutfs.settings import MIB, RUN
from fanoutfs.simulate import flow
from fanoutfs.simulate.flow import by_flow, flows
from fanoutfs.simulate.relay import by_rules
from fanoutfs.simulate.scenario import Nodes, Reader, Scenario, Wire
from fanoutfs.simulate.shape import grouped

GIB = 1024 * MIB
RATES = st.sampled_from([25.0 * MIB, 50.0 * MIB, 100.0 * MIB, 400.0 * MIB])


def chain(*nodes: Nodes, runs: int = 64, **said: Any) -> Scenario:
    """Give a scenario of nodes each behind the one before."""
    placed = tuple(attrs.evolve(entry, above=i - 1 if i else None) for i, entry in enumerate(nodes))
    usual: dict[str, Any] = {"ring": 256 * MIB, "source_rate": math.inf, "readers": ()}
    return Scenario(size=runs * RUN, nodes=placed, **(usual | said))


def done(scenario: Scenario) -> list[float]:
    return [group.done or math.inf for group in by_flow(scenario).groups]


@given(
    depth=st.integers(1, 40),
    runs=st.integers(1, 400),
    rate=RATES,
    latency=st.sampled_from([0.0, 0.0001, 0.05]),
)
def test_a_chain_of_equal_links_is_a_pipeline(depth: int, runs: int, rate: float, latency: float) -> None:
    """The image once over a link, each run asked for; and a run over each link after the first."""
    link = Nodes(wire=Wire(rate=rate, latency=latency), card=rate)
    found = done(chain(*[link] * depth, runs=runs, card=rate))
    first = runs * (RUN / rate + 2 * latency)
    assert [first + i * (RUN / rate + latency) for i in range(depth)] == pytest.approx(found)


@given(
    source=RATES,
    links=st.lists(st.tuples(RATES, st.sampled_from([0.0, 0.002, 0.05])), min_size=1, max_size=12),
    runs=st.integers(1, 300),
)
def test_a_chain_goes_at_the_rate_of_its_slowest_part(
    source: float, links: list[tuple[float, float]], runs: int
) -> None:
    """Each part once, and the slowest one that comes after it for all the other runs."""
    scenario = chain(
        *(Nodes(wire=Wire(rate=rate, latency=latency)) for rate, latency in links),
        runs=runs,
        source_rate=source,
    )
    cycles = [RUN / source] + [RUN / rate + 2 * latency for rate, latency in links]
    hops = [0.0] + [RUN / rate + latency for rate, latency in links]
    expected = max(cycles[i] + sum(hops[i + 1 :]) + (runs - 1) * max(cycles[i:]) for i in range(len(cycles)))
    assert expected == pytest.approx(done(scenario)[-1])


@st.composite
def trees(draw: st.DrawFn) -> Scenario:
    """Give a tree over which the rules can be asked in a moment."""
    rate = draw(RATES)
    target = Reader(order="carousel", rate=draw(st.sampled_from([None, 50.0 * MIB, 100.0 * MIB])))
    like = Nodes(
        wire=Wire(rate=rate, latency=draw(st.sampled_from([0.0, 0.001]))),
        card=draw(st.sampled_from([rate, 2 * rate])),
        targets=(target,) * draw(st.integers(1, 2)),
    )
    count, children = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    return Scenario(
        size=512 * MIB,
        ring=draw(st.sampled_from([64, 128, 1024])) * MIB,
        readers=(),
        nodes=tuple(grouped(like, count, children)),
        card=draw(RATES),
        source_rate=draw(RATES),
    )


@settings(max_examples=25, deadline=None)
@given(trees().filter(flows))
def test_the_rules_come_to_the_same(scenario: Scenario) -> None:
    """The last node of any tree has everything when the rules at each node say so, to 3 %."""
    expected, found = by_rules(scenario), by_flow(scenario)
    assert (expected.source_bytes, expected.sent) == (found.source_bytes, found.sent)
    assert expected.done_after(1) == pytest.approx(found.done_after(1), rel=0.03)


def test_the_rules_come_to_the_same_behind_a_slow_node() -> None:
    """Those before it run ahead by their rings, and then go at its pace; those behind it go at its pace."""
    fast, slow = Nodes(wire=Wire(rate=100.0 * MIB)), Nodes(wire=Wire(rate=10.0 * MIB))
    scenario = chain(fast, fast, slow, fast, fast, ring=64 * MIB, source_rate=100.0 * MIB)
    expected = [group.done for group in by_rules(scenario).groups]
    assert expected == pytest.approx(done(scenario), rel=0.03)
    # 512 MiB at 10 MiB/s; the second has a ring of 64 MiB less to wait for, the first two.
    assert [38.4, 44.8, 51.2] == pytest.approx(done(scenario)[:3], rel=0.06)


def test_what_is_regular_is_not_computed_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the same to the end, with targets that make the rings fill up."""
    target = Reader(order="carousel", rate=60.0 * MIB)
    like = Nodes(wire=Wire(rate=100.0 * MIB, latency=0.001), card=300.0 * MIB, targets=(target,))
    scenario = Scenario(
        size=8 * GIB,
        ring=GIB,
        readers=(),
        nodes=tuple(grouped(like, 30, 3)),
        card=300.0 * MIB,
        source_rate=9e9,
    )
    short = done(scenario)
    monkeypatch.setattr(flow, "LOOKS", 10**9)
    assert done(scenario) == pytest.approx(short, rel=1e-9)


def test_too_much_work_is_done_with_several_runs_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run begins when its first piece can, so that the way through a deep chain takes as long."""
    fast, slow = Nodes(wire=Wire(rate=100.0 * MIB)), Nodes(wire=Wire(rate=30.0 * MIB))
    scenario = chain(*[fast] * 20, slow, *[fast] * 20, runs=1000, ring=GIB)
    fine = by_flow(scenario)
    monkeypatch.setattr(flow, "WORK", 41 * 260)
    coarse = by_flow(scenario)
    assert (False, RUN, True, 4 * RUN) == (fine.coarse, fine.block, coarse.coarse, coarse.block)
    assert [g.done for g in fine.groups] == pytest.approx([g.done for g in coarse.groups], rel=0.01)


def test_a_thousand_nodes_take_a_moment() -> None:
    """64 GiB through 1,000 links of 10 Gbit/s: as long as over one, and 7 ms for each link more."""
    link = Nodes(wire=Wire(rate=1.25e9, latency=0.0001), card=1.25e9)
    found = done(chain(*[link] * 1000, runs=8192, ring=GIB))
    assert 8192 * (RUN / 1.25e9 + 0.0002) == pytest.approx(found[0])
    assert 999 * (RUN / 1.25e9 + 0.0001) == pytest.approx(found[-1] - found[0])


UNLIKE = (Nodes(wire=Wire(rate=10.0)), Nodes(wire=Wire(rate=100.0)))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, True),
        ({"nodes": (Nodes(at=5.0, targets=(Reader(at=5.0),)),)}, True),
        ({"nodes": (Nodes(), Nodes(at=5.0, targets=(Reader(at=5.0),)))}, False),
        ({"nodes": (Nodes(targets=(Reader(at=5.0),)),)}, False),
        ({"nodes": (Nodes(targets=(Reader(leaves=5.0),)),)}, False),
        ({"nodes": (Nodes(dies=5.0),)}, False),
        ({"pace": "free"}, False),
        ({"readers": (Reader(at=1.0),)}, False),
        ({"nodes": UNLIKE, "card": 110.0}, True),
        ({"nodes": UNLIKE, "card": 100.0}, False),
    ],
)
def test_arithmetic_is_for_those_who_begin_together_and_share_alike(said: Any, expected: bool) -> None:
    """Who comes late, stops, goes, or leaves a part of its share to others is for the rules."""
    scenario = Scenario(size=GIB, ring=GIB, readers=(), nodes=(Nodes(),))
    assert expected is flows(attrs.evolve(scenario, **said))


def test_readers_of_the_source_itself_hold_the_nodes_up() -> None:
    """A slow one at the source is waited for as anywhere."""
    scenario = chain(Nodes(wire=Wire(rate=100.0 * MIB)), ring=64 * MIB, readers=(Reader(rate=10.0 * MIB),))
    assert 51.2 - 6.4 == pytest.approx(done(scenario)[0], rel=0.06)
