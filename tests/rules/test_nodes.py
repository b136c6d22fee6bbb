"""Words about nodes, in a trace or as options, and what is said of what can't be meant."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from fanoutfs.cli import commands
from fanoutfs.errors import UsageError
from fanoutfs.simulate import simulate_command
from fanoutfs.simulate.entries import rate
from fanoutfs.simulate.network.network_report import SHOWN
from fanoutfs.simulate.report import MOST_ROWS
from fanoutfs.simulate.scenario import Nodes, SimulatedReader, Wire
from fanoutfs.simulate.trace import load, scenarios
from fanoutfs.units import MIB, parse_seconds

LAN = {"size": "1G", "ring": "64M", "link-rate": "10Gbit"}


def run(*words: str) -> Result:
    return CliRunner().invoke(commands, ["simulate", *words], catch_exceptions=False, standalone_mode=False)


def simulated(*words: str) -> list[list[str]]:
    """Give the cells of what is printed for 1 GiB over 10 Gbit/s."""
    output = run("--size", "1G", "--ring", "64M", "--source-rate", "unlimited", *words).output
    return [line.split("  ") for line in output.splitlines()]


def test_a_trace_says_all_that_nodes_have(tmp_path: Path) -> None:
    """Links, shapes, who is behind whom, targets, who comes late and who dies."""
    trace = tmp_path / "trace.yaml"
    trace.write_text(
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
        """
    )
    (found,) = scenarios(load(trace))
    copy = SimulatedReader(order="carousel", rate=500.0 * MIB)
    lan, slow = Wire(rate=1e9, latency=0.0001), Wire(rate=50.0 * MIB, latency=0.0001)
    far: dict[str, Any] = {
        "at": 60.0,
        "wire": slow,
        "card": 50.0 * MIB,
        "targets": (SimulatedReader(at=60.0, order="carousel"),),
    }
    assert (2.0 * 1024 * MIB, (), "as listed") == (found.card, found.readers, found.shape)
    assert found.nodes == (
        Nodes(name="hall", count=4, wire=lan, card=1e9, targets=(copy,)),
        Nodes(
            name="rack",
            above=0,
            count=20,
            wire=Wire(rate=1.25e8, latency=0.005),
            card=2.5e8,
            ring=1024 * MIB,
            targets=(copy, copy),
        ),
        Nodes(name="far", **far),
        Nodes(name="far", above=2, **far),
        Nodes(
            name="last",
            above=3,
            at=120.0,
            dies=180.0,
            wire=lan,
            card=1e9,
            targets=(SimulatedReader(at=150.0, rate=500.0 * MIB),),
        ),
    )


def test_a_number_of_nodes_stands_as_the_shape_says() -> None:
    """A star, if nothing is said; several shapes and rings are a scenario each."""
    (star,) = scenarios(LAN | {"nodes": 12})
    assert ("star", [12]) == (star.shape, [entry.count for entry in star.nodes])
    found = scenarios(LAN | {"nodes": 12, "shape": "chain,tree:3", "ring": ["64M", "1G"]})
    assert [("chain", 64), ("chain", 1024), ("tree:3", 64), ("tree:3", 1024)] == [
        (scenario.shape, scenario.ring // MIB) for scenario in found
    ]
    assert [12, 2] == [len(scenario.nodes) for scenario in found[::2]]


def test_nodes_come_one_by_one_if_a_time_is_said() -> None:
    """From one to the next."""
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
    """As a network card says it: powers of 1,000, and eight to a byte."""
    assert expected == rate(value)


def test_a_latency_is_in_milliseconds() -> None:
    """It is a time as any, and a short one."""
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
def test_an_entry_about_nodes_that_cant_be_meant_is_named(wrong: dict[Any, Any], said: str) -> None:
    """One line: where, what, and what to write in its place."""
    with pytest.raises(UsageError) as caught:
        scenarios(LAN | wrong)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_nodes_without_a_link_are_wrong_usage() -> None:
    """Nobody's network is unlimited."""
    with pytest.raises(
        UsageError, match="link-rate is missing; write link-rate: 10Gbit in the trace or --link-rate"
    ):
        scenarios({"size": "1G", "ring": "64M", "nodes": 5})


def test_each_shape_has_a_row() -> None:
    """The answer to which one: what the source sends, how deep it is, who is behind one, when it is done."""
    head, *rows = simulated("--nodes", "12", "--link-rate", "8Gbit", "--shape", "star,chain,tree:3")[2:]
    assert "shape" == head[0].strip()
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert [
        ["star", "64 MiB", "1 GiB", "12 GiB", "1", "0"],
        ["chain", "64 MiB", "1 GiB", "1 GiB", "12", "11"],
        ["tree:3", "64 MiB", "1 GiB", "3 GiB", "2", "3"],
    ] == [row[:6] for row in cells]
    assert ["12.9 s", "1.17 s", "3.25 s"] == [row[7] for row in cells]


def test_a_single_outcome_has_a_row_for_each_depth_and_name(tmp_path: Path) -> None:
    """Of many only some; who never has the image is said, and who has waited 10 s for it is late."""
    levels = simulated("--nodes", "12", "--link-rate", "8Gbit", "--shape", "tree:3")[5:]
    assert [["1", "3"], ["2", "9"]] == [[c.strip() for c in row if c.strip()][:2] for row in levels[1:]]
    many = ("--nodes", str(2 * MOST_ROWS), "--size", "32M", "--ring", "8M")
    deep = simulated(*many, "--link-rate", "8Gbit", "--shape", "chain")[5:]
    assert SHOWN == len(deep) - 1
    assert str(2 * MOST_ROWS) == next(cell.strip() for cell in deep[-1] if cell.strip())
    trace = tmp_path / "trace.yaml"
    trace.write_text("link-rate: 8Gbit\nnodes: [{name: good}, {name: bad, dies: 0.5}]\n")
    named = [[c.strip() for c in row if c.strip()] for row in simulated(str(trace))]
    assert [["good", "1", "1", "0", "0 s", "11.3 s"], ["bad", "1", "1", "0", "0 s", "never"]] == [
        row[:6] for row in named[6:]
    ]
    assert "never" == named[3][7]


def test_more_than_half_an_hour_for_all_rows_is_refused() -> None:
    """A chain of 1,000 is minutes; six rings take six times as long."""
    words = ("--size", "64G", "--nodes", "1000", "--link-rate", "10Gbit", "--shape", "chain")
    with pytest.raises(UsageError, match="it would take about 41 minutes, more than 30; name fewer nodes"):
        run(*words, "--ring", "1G,1G,1G,1G,1G,1G")


@pytest.mark.parametrize(
    ("words", "blocks"),
    [
        (("--readers", "9", "--every", "1"), 2 * 64),
        (("--nodes", "3", "--link-rate", "8Gbit", "--shape", "chain"), 7 * 64),
    ],
)
def test_minutes_are_announced(
    words: tuple[str, ...], blocks: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All rows count: of two rings that take a minute and a half each, three minutes."""
    said = ["simulate", "--size", "64M", "--ring", "8M,16M", *words]
    commands(said, standalone_mode=False)
    quick = capsys.readouterr()
    monkeypatch.setattr(simulate_command, "BLOCKS_PER_MINUTE", 2 * blocks / 3)
    commands(said, standalone_mode=False)
    slow = capsys.readouterr()
    assert ("", "simulating; this takes about 3 min\n") == (quick.err, slow.err)
    assert quick.out == slow.out


def test_json_has_every_group_of_nodes() -> None:
    """Bytes and seconds; nodes that nothing tells apart are one."""
    words = ("--size", "1G", "--ring", "64M", "--nodes", "100", "--link-rate", "8Gbit", "--json")
    (found,) = json.loads(run(*words).output)
    (group,) = found["nodes"]
    assert (100, 1, 0, 100 * 1024 * MIB) == (
        group["count"],
        group["depth"],
        group["behind"],
        found["sent"],
    )


def test_coarse_blocks_are_said_once(tmp_path: Path) -> None:
    """Below the table, with what a mount would pass on."""
    trace = tmp_path / "trace.yaml"
    trace.write_text("link-rate: 8Gbit\npace: free\nnodes: [{targets: 60}]\n")
    output = run(str(trace), "--size", "64G", "--ring", "8G,8G").output
    assert 1 == output.count(
        "ring 8 GiB: modelled in blocks of 64 MiB, passed on whole; a mount passes on 8 MiB"
    )


def test_options_for_readers_are_those_of_the_source_itself() -> None:
    """With nodes, the time from one to the next is that of the nodes."""
    words = (
        "--size",
        "1G",
        "--ring",
        "64M",
        "--nodes",
        "2",
        "--link-rate",
        "8Gbit",
        "--every",
        "5",
        "--json",
    )
    (found,) = json.loads(run(*words, "--readers", "3", "--reader-rate", "1M").output)
    assert [0.0, 5.0] == [group["joined"] for group in found["nodes"]]
    assert found["seconds"] > 900


def test_a_picture_of_nodes_has_a_line_for_each_shape(tmp_path: Path) -> None:
    """And one for when they joined; the same bytes for the same runs."""
    words = ("--size", "64M", "--ring", "64M", "--nodes", "3", "--link-rate", "8Gbit", "--every", "1")
    for name in ("one.svg", "other.svg"):
        run(*words, "--shape", "chain,star", "--picture", str(tmp_path / name))
    drawn = (tmp_path / "one.svg").read_text()
    said = (
        "joined",
        "chain, ring 64 MiB",
        "star, ring 64 MiB",
        "nodes that have the image",
        "time (seconds)",
    )
    assert all(word in drawn for word in said)
    assert drawn == (tmp_path / "other.svg").read_text()


def test_a_picture_of_nodes_to_nowhere_is_said_before_anything_is_computed(tmp_path: Path) -> None:
    """Its suffix must be one that can be drawn."""
    with pytest.raises(UsageError, match=r"the name must end in \.svg or \.png"):
        run(
            "--size",
            "1G",
            "--ring",
            "64M",
            "--nodes",
            "4",
            "--link-rate",
            "8Gbit",
            "--picture",
            str(tmp_path / "p"),
        )
