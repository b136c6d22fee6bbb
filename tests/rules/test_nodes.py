"""Nodes in a trace or as options: what they mean, what is printed, what is refused."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from fanoutfs.errors import UsageError
from fanoutfs.simulate import simulate_command
from fanoutfs.simulate.entries import rate
from fanoutfs.simulate.network.network_report import SHOWN
from fanoutfs.simulate.report import MOST_ROWS
from fanoutfs.simulate.scenario import Nodes, SimulatedReader, Wire
from fanoutfs.simulate.trace import load, scenarios
from fanoutfs.units import MIB, parse_seconds
from tests.rules.simulating import run, trace_file

LAN = {"size": "1G", "ring": "64M", "link-rate": "10Gbit"}


def simulated(options: str, *more: str) -> list[list[str]]:
    """Return the cells of the lines printed for an image of 1 GiB and links of 8 Gbit/s."""
    always = "--size 1G --ring 64M --source-rate unlimited --link-rate 8Gbit"
    lines = run(f"{always} {options}", *more).output.splitlines()
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]


def test_a_trace_describes_nodes(tmp_path: Path) -> None:
    """Their links, shapes, positions and targets, and when they join and die."""
    trace = trace_file(
        tmp_path,
        """
        size: 1G
        ring: 64M
        link-rate: 8Gbit
        source-link-rate: 40Gbit
        latency: 0.1ms
        node-rate: 2G
        target-rate: 500M
        nodes:
          - {name: hall, count: 4}
          - {name: rack, from: hall, count: 20, down: 1Gbit, up: 2Gbit, latency: 5ms, ring: 1G, targets: 2}
          - {name: far, at: 1m, count: 2, shape: chain, node-rate: 50M, targets: [{rate: unlimited}]}
          - {name: last, from: far, at: 2m, dies: 3m, targets: [{order: image, at: 150}]}
        """,
    )
    (found,) = scenarios(load(trace))
    copy = SimulatedReader(order="carousel", rate=500.0 * MIB)
    lan, slow = Wire(rate=1e9, latency=0.0001), Wire(rate=50.0 * MIB, latency=0.0001)
    target = SimulatedReader(at=60.0, order="carousel")
    far: dict[str, Any] = {"at": 60.0, "wire": slow, "card": 50.0 * MIB, "targets": (target,)}
    assert (2.0 * 1024 * MIB, (), "as listed") == (found.card, found.readers, found.shape)
    wan = Wire(rate=1.25e8, latency=0.005)
    rack: dict[str, Any] = {"wire": wan, "card": 2.5e8, "ring": 1024 * MIB, "targets": (copy, copy)}
    late = SimulatedReader(at=150.0, rate=500.0 * MIB)
    assert found.nodes == (
        Nodes(name="hall", count=4, wire=lan, card=1e9, targets=(copy,)),
        Nodes(name="rack", above=0, count=20, **rack),
        Nodes(name="far", **far),
        Nodes(name="far", above=2, **far),
        Nodes(name="last", above=3, at=120.0, dies=180.0, wire=lan, card=1e9, targets=(late,)),
    )


def test_a_number_of_nodes_has_a_shape() -> None:
    """A star by default; several shapes and rings are a scenario each."""
    (star,) = scenarios(LAN | {"nodes": 12})
    assert ("star", [12]) == (star.shape, [entry.count for entry in star.nodes])
    found = scenarios(LAN | {"nodes": 12, "shape": "chain,tree:3", "ring": ["64M", "1G"]})
    assert [("chain", 64), ("chain", 1024), ("tree:3", 64), ("tree:3", 1024)] == [
        (scenario.shape, scenario.ring // MIB) for scenario in found
    ]
    assert [12, 2] == [len(scenario.nodes) for scenario in found[::2]]


def test_nodes_join_one_by_one_if_an_interval_is_given() -> None:
    """Each after the interval, below an earlier one."""
    (found,) = scenarios(LAN | {"nodes": 4, "shape": "tree:2", "every": "5m"})
    assert [0.0, 300.0, 600.0, 900.0] == [entry.at for entry in found.nodes]
    assert [None, None, 0, 0] == [entry.above for entry in found.nodes]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10Gbit", 1.25e9),
        ("100Mbit/s", 1.25e7),
        ("2.5 gbit", 3.125e8),
        ("1250M", 1250 * MIB),
        ("unlimited", math.inf),
    ],
)
def test_a_rate_is_a_size_per_second_or_bits(value: str, expected: float) -> None:
    """Bits as on a network card: powers of 1,000, and eight to a byte."""
    assert expected == rate(value)


def test_a_latency_may_be_in_milliseconds() -> None:
    """It is a time like any other."""
    assert 0.0002 == parse_seconds("0.2ms")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"nodes": 0}, "nodes: 0 is not a number of nodes from 1 to 1000000"),
        ({"nodes": 5, "shape": "ring"}, "nodes: 1: 'ring' is not a shape; write chain, star or tree:4"),
        ({"shape": "chain"}, "link-rate is about nodes; set their number, as --nodes 1000"),
        ({"nodes": 5, "link-rate": "10Gbyte"}, "link-rate: '10Gbyte' is not a size"),
        ({"nodes": 5, "link-rate": "0Gbit"}, "link-rate: '0Gbit' is not a size"),
        ({"nodes": 5, "latency": "x"}, "latency: 'x' is not a time"),
        ({"nodes": 1001, "every": 1}, "nodes: 1: at most 1000 nodes can come one by one"),
        ({"nodes": [{}], "shape": "chain"}, "the trace has a list of nodes; set shape and every in each"),
        ({"nodes": [{}], "every": 1}, "the trace has a list of nodes; set shape and every in each"),
        ({"nodes": ["pc"]}, "nodes: 1: expected entries (name: value), not 'pc'"),
        ({"nodes": [{"speed": 5}]}, "nodes: 1: speed is not known; there are: name, from, count"),
        ({"nodes": [{"from": "hall"}]}, "nodes: 1: from: hall is not the name of an earlier entry"),
        ({"nodes": [{"name": "a"}, {"name": "a"}]}, "nodes: 2: the name a is used twice"),
        (
            {"nodes": [{"name": "a", "count": 7, "shape": "tree:2"}, {"from": "a"}]},
            "nodes: 2: from: a has no single last node to read from; a chain or a star has",
        ),
        (
            {"nodes": [{"name": "a", "at": 5}, {"from": "a", "at": 4}]},
            "nodes: 2: at: the node joins before the one",
        ),
        (
            {"nodes": [{"at": 5, "targets": [{"at": 4}]}]},
            "nodes: 1: targets: a target starts before its node joins",
        ),
        ({"nodes": [{"targets": []}]}, "nodes: 1: targets: there are no readers"),
        ({"nodes": [{"targets": [{"rate": "x"}]}]}, "nodes: 1: targets: 1: rate: 'x' is not a size"),
        (
            {"nodes": [{"count": 1000, "name": "a"}, {"count": 1001, "from": "a"}]},
            "nodes: 2: more than 1000000 nodes",
        ),
    ],
)
def test_an_invalid_entry_about_nodes_is_refused(wrong: dict[Any, Any], said: str) -> None:
    """In one line: where, what, and what to write instead."""
    with pytest.raises(UsageError) as caught:
        scenarios(LAN | wrong)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_nodes_without_a_link_are_wrong_usage() -> None:
    """No network is unlimited."""
    said = "link-rate is missing; write link-rate: 10Gbit in the trace or --link-rate"
    with pytest.raises(UsageError, match=said):
        scenarios({"size": "1G", "ring": "64M", "nodes": 5})


def test_each_shape_has_a_row() -> None:
    """With the bytes that the source sends, the depth, the nodes behind one, and the times."""
    head, *rows = simulated("--nodes 12 --shape star,chain,tree:3")[2:]
    assert "shape" == head[0]
    assert [
        ["star", "64 MiB", "1 GiB", "12 GiB", "1", "0"],
        ["chain", "64 MiB", "1 GiB", "1 GiB", "12", "11"],
        ["tree:3", "64 MiB", "1 GiB", "3 GiB", "2", "3"],
    ] == [row[:6] for row in rows]
    assert ["12.9 s", "1.17 s", "3.25 s"] == [row[7] for row in rows]


def test_a_single_outcome_has_a_row_for_each_depth_and_name(tmp_path: Path) -> None:
    """Only some of many rows; a node may never have the image, and one that waits 10 s for it is late."""
    levels = simulated("--nodes 12 --shape tree:3")[5:]
    assert [["1", "3"], ["2", "9"]] == [row[:2] for row in levels[1:]]
    deep = simulated(f"--nodes {2 * MOST_ROWS} --size 32M --ring 8M --shape chain")[5:]
    assert SHOWN == len(deep) - 1
    assert str(2 * MOST_ROWS) == deep[-1][0]
    named = simulated("", str(trace_file(tmp_path, "nodes: [{name: good}, {name: bad, dies: 0.5}]\n")))
    assert [["good", "1", "1", "0", "0 s", "11.3 s"], ["bad", "1", "1", "0", "0 s", "never"]] == [
        row[:6] for row in named[6:]
    ]
    assert "never" == named[3][7]


def test_more_than_half_an_hour_for_all_rows_is_refused() -> None:
    """A chain of 1,000 nodes takes minutes; six rings take six times as long."""
    with pytest.raises(UsageError, match="it would take about 41 minutes, more than 30; name fewer nodes"):
        run("--size 64G --nodes 1000 --link-rate 10Gbit --shape chain --ring 1G,1G,1G,1G,1G,1G")


@pytest.mark.parametrize(
    ("options", "blocks"),
    [("--readers 9 --every 1", 2 * 64), ("--nodes 3 --link-rate 8Gbit --shape chain", 7 * 64)],
)
def test_minutes_are_announced(options: str, blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all rows: two rings that take a minute and a half each take three minutes."""
    quick = run(f"--size 64M --ring 8M,16M {options}")
    monkeypatch.setattr(simulate_command, "BLOCKS_PER_MINUTE", 2 * blocks / 3)
    slow = run(f"--size 64M --ring 8M,16M {options}")
    assert ("", "simulating; this takes about 3 min\n") == (quick.stderr, slow.stderr)
    assert quick.stdout == slow.stdout


def test_json_has_every_group_of_nodes() -> None:
    """Bytes and seconds; equal nodes are one group."""
    (found,) = json.loads(run("--size 1G --ring 64M --nodes 100 --link-rate 8Gbit --json").output)
    (group,) = found["nodes"]
    assert (100, 1, 0, 100 * 1024 * MIB) == (group["count"], group["depth"], group["behind"], found["sent"])


def test_coarse_blocks_are_reported_once(tmp_path: Path) -> None:
    """Below the table, with the size that a mount would pass on."""
    trace = trace_file(tmp_path, "link-rate: 8Gbit\npace: free\nnodes: [{targets: 60}]\n")
    said = "ring 8 GiB: modelled in blocks of 64 MiB, passed on whole; a mount passes on 8 MiB"
    assert 1 == run("--size 64G --ring 8G,8G", str(trace)).output.count(said)


def test_options_for_readers_are_for_those_of_the_source() -> None:
    """With nodes, --every is the interval between nodes."""
    nodes = "--size 1G --ring 64M --nodes 2 --link-rate 8Gbit --every 5"
    (found,) = json.loads(run(f"{nodes} --json --readers 3 --reader-rate 1M").output)
    assert [0.0, 5.0] == [group["joined"] for group in found["nodes"]]
    assert found["seconds"] > 900


def test_a_picture_of_nodes_has_a_line_for_each_shape(tmp_path: Path) -> None:
    """And one for when they joined; the same run gives the same bytes."""
    options = "--size 64M --ring 64M --nodes 3 --link-rate 8Gbit --every 1 --shape chain,star --picture"
    for name in ("one.svg", "other.svg"):
        run(options, str(tmp_path / name))
    drawn = (tmp_path / "one.svg").read_text()
    labels = "chain, ring 64 MiB", "star, ring 64 MiB", "nodes that have the image", "time (seconds)"
    assert all(label in drawn for label in ("joined", *labels))
    assert drawn == (tmp_path / "other.svg").read_text()


def test_a_picture_with_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    """Before anything is computed."""
    with pytest.raises(UsageError, match=r"the name must end in \.svg or \.png"):
        run("--size 1G --ring 64M --nodes 4 --link-rate 8Gbit --picture", str(tmp_path / "p"))
