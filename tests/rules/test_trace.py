import math
from pathlib import Path
from typing import Any

import pytest

from fanoutfs.errors import UnusableError, UsageError
from fanoutfs.simulate.scenario import Scenario, SimulatedReader, Stall
from fanoutfs.simulate.trace import load, scenarios
from fanoutfs.units import MIB, parse_seconds
from tests.rules.simulating import trace_file

GIB = 1024 * MIB


def test_a_trace_describes_a_scenario(tmp_path: Path) -> None:
    """Sizes, times, groups of readers, their stalls and when they leave."""
    trace = trace_file(
        tmp_path,
        """
        size: 64G
        ring: [4G, 8G]
        block: 1M
        run: 4M
        source-rate: 150M
        seek-time: 0.01
        patience: 1m
        turn: 3s
        pace: free
        readers:
          - {count: 2, every: 5m, rate: 20M}
          - at: 1h
            order: carousel
            rate: unlimited
            stalls: [{at: 2h, for: 1m}, {position: 1G, for: 90}]
            leaves: 3h
        """,
    )
    stalls = Stall(at=7200.0, seconds=60.0), Stall(position=GIB, seconds=90.0)
    readers = (
        SimulatedReader(rate=20.0 * MIB),
        SimulatedReader(at=300.0, rate=20.0 * MIB),
        SimulatedReader(at=3600.0, order="carousel", stalls=stalls, leaves=10800.0),
    )
    sizes: dict[str, Any] = {"size": 64 * GIB, "ring": 4 * GIB, "block": MIB, "run": 4 * MIB}
    times: dict[str, Any] = {"source_rate": 150.0 * MIB, "seek_time": 0.01, "patience": 60.0, "turn": 3.0}
    expected = Scenario(**sizes, **times, pace="free", readers=readers)
    found = scenarios(load(trace))
    assert [4 * GIB, 8 * GIB] == [scenario.ring for scenario in found]
    assert expected == found[0]


def test_the_defaults_are_one_reader_and_the_mounts_settings() -> None:
    """Size and ring are enough."""
    expected = Scenario(size=GIB, ring=64 * MIB, readers=(SimulatedReader(),))
    assert [expected] == scenarios({"size": "1G", "ring": "64M"})


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(5, 5.0), (0.5, 0.5), ("90", 90.0), ("1.5s", 1.5), ("5m", 300.0), ("2H", 7200.0), ("1d", 86400.0)],
)
def test_times_are_read_as_people_write_them(value: object, seconds: float) -> None:
    """Seconds, or with the unit s, m, h or d."""
    assert seconds == parse_seconds(value)


@pytest.mark.parametrize("value", ["", "-1", "5x", "1m30s", None, True, math.nan, math.inf, [1]])
def test_an_invalid_time_is_refused(value: object) -> None:
    """It is wrong usage: nothing is guessed."""
    with pytest.raises(UsageError, match="is not a time"):
        parse_seconds(value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"size": None}, "size: 'None' is not a size"),
        ({"ring": "4G,x"}, "ring: 'x' is not a size"),
        ({"ring": True}, "ring: 'True' is not a size"),
        ({"rings": "4G"}, "rings is not known; there are: size, ring,"),
        ({1: 2}, "1 is not known"),
        ({"pace": "loose"}, "pace: 'loose' is not one of strict, free"),
        ({"turn": 0}, "turn: must be more than 0 seconds"),
        ({"readers": 12}, "readers: expected a list, each entry on a line that begins with -, not 12"),
        ({"readers": []}, "readers: there are no readers"),
        ({"readers": ["dd"]}, "readers: 1: expected entries (name: value), not 'dd'"),
        ({"readers": [{}, {"rate": "fast"}]}, "readers: 2: rate: 'fast' is not a size"),
        ({"readers": [{"count": 0}]}, "readers: 1: count: 0 is not a number of readers from 1 to 100000"),
        ({"readers": [{"count": 60_000}] * 2}, "readers: more than 100000 readers"),
        ({"readers": [{"at": 5, "leaves": 4}]}, "readers: 1: a reader leaves before it comes"),
        (
            {"readers": [{"stalls": [{"for": 1}]}]},
            "readers: 1: stalls: 1: needs for: and either at: (a time)",
        ),
        (
            {"readers": [{"stalls": [{"at": 1, "for": 0}]}]},
            "readers: 1: stalls: 1: for: must be more than 0 seconds",
        ),
    ],
)
def test_an_invalid_entry_is_refused(wrong: dict[Any, Any], said: str) -> None:
    """In one line: where, what, and what to write instead."""
    with pytest.raises(UsageError) as caught:
        scenarios({"size": "1G", "ring": "64M"} | wrong)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_trace_without_a_size_or_a_ring_is_wrong_usage() -> None:
    """Nothing is guessed."""
    with pytest.raises(UsageError, match="ring is missing; write ring: 64G in the trace or --ring 64G"):
        scenarios({"size": "1G"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size: [1", "trace.yaml, line 1: expected ',' or ']'"),
        ("size: 1G\n ring: 2", "trace.yaml, line 2: "),
        ("just words", "trace.yaml: expected lines such as size: 64G"),
        ("", "trace.yaml: expected lines such as size: 64G"),
        ("!!python/object:os.system {}", "trace.yaml, line 1: could not determine a constructor"),
    ],
)
def test_an_invalid_trace_is_wrong_usage(tmp_path: Path, text: str, said: str) -> None:
    """The message names the file and, if there is one, the line."""
    with pytest.raises(UsageError) as caught:
        load(trace_file(tmp_path, text))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_trace_is_unusable(tmp_path: Path) -> None:
    """The command line is right, but there is no file."""
    with pytest.raises(UnusableError, match=r"gone\.yaml: no such file or directory"):
        load(tmp_path / "gone.yaml")


def test_a_trace_that_is_no_text_is_wrong_usage(tmp_path: Path) -> None:
    """An image named by mistake."""
    trace = tmp_path / "disk.img"
    trace.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UsageError, match=r"disk\.img"):
        load(trace)
