"""The model in cases with a known outcome. One unit: a block of a byte, read in a second."""

import json
import random
from typing import Any

import pytest

from fanoutfs.errors import UnusableError, UsageError
from fanoutfs.ring.decision import Rest
from fanoutfs.ring.rules import Rules
from fanoutfs.simulate.grain import LEAST_BLOCKS, LEAST_SLOTS, grain
from fanoutfs.simulate.model import simulate
from fanoutfs.simulate.report import MOST_ROWS
from fanoutfs.simulate.result import Outcome
from fanoutfs.simulate.scenario import Order, Scenario, SimulatedReader, Stall
from fanoutfs.units import MIB
from tests.rules.simulating import run, trace_file

PASS = 400
"""Blocks of the image, and seconds of a pass."""


def outcome(*readers: SimulatedReader, ring: int = 20, **settings: Any) -> Outcome:
    usual = {"block": 1, "run": 1, "source_rate": 1.0, "turn": PASS / 10, "patience": float(PASS)}
    return simulate(Scenario(size=PASS, ring=ring, readers=readers, **(usual | settings)))


def took(found: Outcome) -> list[int]:
    return [round(r.took) for r in found.readers if r.took is not None]


def late(count: int, **reader: Any) -> tuple[SimulatedReader, ...]:
    return tuple(SimulatedReader(at=i * PASS / count, **reader) for i in range(count))


def test_a_lone_reader_costs_one_pass_and_waits_for_the_source() -> None:
    """It gets its last byte when the source has read it."""
    found = outcome(SimulatedReader())
    assert (PASS, 0, [PASS]) == (found.source_bytes, found.seeks, took(found))
    assert PASS == found.readers[0].waited
    assert 1 == found.readers[0].longest_wait


def test_readers_that_come_together_share_a_pass() -> None:
    """However many readers there are."""
    found = outcome(*[SimulatedReader()] * 50)
    assert (PASS, [PASS] * 50) == (found.source_bytes, took(found))


@pytest.mark.parametrize(
    ("ring", "passes", "seconds"),
    [
        (20, 1.97, [412, 689, 589, 489]),
        (50, 1.90, [412, 660, 560, 460]),
        (100, 1.78, [412, 312, 511, 411]),
    ],
)
def test_late_readers_in_order_share_what_the_ring_holds(
    ring: int, passes: float, seconds: list[int]
) -> None:
    """Four, a quarter of a pass apart: a larger ring saves reading."""
    found = outcome(*late(4), ring=ring)
    assert passes == round(found.passes, 2)
    assert seconds == took(found)


def test_a_slow_reader_is_waited_for_in_a_strict_pace() -> None:
    """One pass; the fast reader takes as long as the slow one, except for the ring."""
    found = outcome(SimulatedReader(), SimulatedReader(rate=0.5), ring=100)
    assert 1.0 == found.passes
    assert 2 * PASS - 2 * 100 < took(found)[0] <= 2 * PASS
    assert 2 * PASS <= took(found)[1] <= 2 * PASS + 2


def test_a_slow_reader_is_not_waited_for_in_a_free_pace() -> None:
    """The fast reader is as fast as alone, and the source is read nearly twice."""
    readers = SimulatedReader(rate=0.8), SimulatedReader(rate=0.4)
    found = outcome(*readers, ring=20, pace="free", source_rate=10.0)
    assert [500, 1000] == took(found)
    assert 1.75 < found.passes <= 2.0


def test_a_stopped_reader_is_waited_for_as_long_as_patience_lasts() -> None:
    """The other reader waits that long, and no longer."""
    stopped = SimulatedReader(rate=0.9, stalls=(Stall(position=100, seconds=500.0),))
    found = outcome(SimulatedReader(rate=0.9), stopped, patience=100.0)
    assert 100 - 20 / 0.9 <= found.readers[0].longest_wait <= 100 + 1 / 0.9
    assert 500 + PASS / 0.9 < took(found)[1]


def test_a_stall_begins_when_its_time_has_come() -> None:
    """It adds its length to a reader's time."""
    found = outcome(SimulatedReader(rate=0.5, stalls=(Stall(at=100.0, seconds=50.0),)))
    assert 2 * PASS + 50 == pytest.approx(found.readers[0].took, abs=2)


def test_a_reader_that_leaves_is_not_waited_for() -> None:
    """Whether it waits or reads then."""
    leaving = SimulatedReader(rate=0.1, leaves=100.0), SimulatedReader(rate=2.0, leaves=100.5)
    found = outcome(SimulatedReader(), *leaving, patience=1e6)
    assert (None, None) == (found.readers[1].took, found.readers[2].took)
    assert took(found)[0] < PASS + 100
    assert 1.0 == found.passes


def test_a_seek_costs_its_time() -> None:
    """For each read that does not adjoin the one before."""
    quick = outcome(*late(2))
    slow = outcome(*late(2), seek_time=0.5)
    assert 0 < quick.seeks
    assert quick.seconds < slow.seconds


def test_the_source_rests_when_no_reader_waits() -> None:
    """A reader that joins long after another finds the blocks left in the ring, and reads the rest."""
    found = outcome(SimulatedReader(), SimulatedReader(at=10.0 * PASS), ring=20)
    assert 2 * PASS - 20 <= found.source_bytes < 2 * PASS
    assert [PASS, found.source_bytes - PASS] == took(found)


def test_the_last_block_may_be_short() -> None:
    """Bytes are counted, not blocks."""
    readers = (SimulatedReader(rate=5.0),)
    found = simulate(Scenario(size=1050, ring=500, block=100, source_rate=10.0, readers=readers))
    assert 1050 == found.source_bytes
    assert 210 <= took(found)[0] <= 220


def test_ten_thousand_readers_are_modelled_in_coarse_blocks() -> None:
    """Some hundred blocks of the image, some tens of slots of the ring; the proportions stay."""
    readers = tuple(SimulatedReader() for _ in range(10_000))
    found = grain(Scenario(size=1 << 50, ring=1 << 45, readers=readers))
    assert LEAST_BLOCKS <= found.blocks <= 2048
    assert LEAST_SLOTS <= found.slots < 2 * LEAST_SLOTS
    assert found.scale == found.block * found.run / (8 * MIB)


def test_many_rates_are_rounded_in_a_coarse_model_alone() -> None:
    """To steps of two percent; otherwise each reader has its own rate."""
    readers = tuple(SimulatedReader(rate=1e6 + i) for i in range(1000))
    coarse = grain(Scenario(size=1 << 50, ring=1 << 45, readers=readers))
    fine = grain(Scenario(size=1 << 30, ring=1 << 28, block=MIB, readers=readers))
    few = grain(Scenario(size=1 << 50, ring=1 << 45, readers=readers[:3] * 300))
    assert [1, 1000, 3] == [
        len({g.seconds(r.rate) for r in readers[:n]}) for g, n in [(coarse, 1000), (fine, 1000), (few, 3)]
    ]
    assert coarse.block / 1e6 == pytest.approx(coarse.seconds(1e6), rel=0.011)


def test_a_block_as_on_a_mount_is_left_alone() -> None:
    """A block size that a mount can have gives a mount's runs and turns."""
    found = grain(Scenario(size=1 << 30, ring=1 << 28, block=16 * MIB, readers=(SimulatedReader(),)))
    assert (64, 16, 1, False) == (found.blocks, found.slots, found.run, found.coarse)


def test_a_ring_of_less_than_two_blocks_is_wrong_usage() -> None:
    """The same as for a mount."""
    with pytest.raises(UsageError, match="ring 1 MiB must hold two blocks of 1 MiB"):
        grain(Scenario(size=1 << 30, ring=MIB, readers=(SimulatedReader(),)))


def test_several_rings_give_a_row_each() -> None:
    """They show which ring is needed."""
    lines = run("--size 64M --ring 4M,8M --readers 2 --every 1").output.splitlines()
    assert "image 64 MiB, 2 readers" == lines[0]
    assert ["ring", "4 MiB", "8 MiB"] == [line[:7].strip() for line in lines[2:]]


def test_a_single_ring_gives_a_row_for_each_reader_and_a_summary_of_many() -> None:
    """Few one by one, many by minimum, median and maximum."""
    few = run("--size 8M --ring 4M --readers 3").output
    many = run(f"--size 8M --ring 4M --readers {MOST_ROWS + 1}").output
    assert ["1", "2", "3"] == [line.split()[0] for line in few.splitlines()[-3:]]
    assert ["took", "waited in all", "longest wait"] == [line[:13].strip() for line in many.splitlines()[-3:]]


def test_json_has_every_reader() -> None:
    """Bytes and seconds, one document per ring."""
    (found,) = json.loads(run("--size 8M --ring 4M --readers 30 --json").output)
    assert 30 == len(found["readers"])
    assert (8 * MIB, 1.0) == (found["source_bytes"], found["passes"])


def test_readers_are_described_in_one_place(tmp_path: Any) -> None:
    """A trace's readers and options for readers exclude each other."""
    trace = trace_file(tmp_path, "size: 8M\nring: 4M\nreaders: [{count: 2}]\n")
    assert "2 readers" in run("", str(trace)).output
    with pytest.raises(UsageError, match="the trace names the readers"):
        run("--readers 3", str(trace))


def test_carousels_read_on_to_where_the_last_one_began() -> None:
    """The blocks read when it joined, and a pass, less the blocks still in the ring."""
    found = outcome(*late(4, order="carousel"), ring=20)
    assert 1.75 - 20 / PASS <= found.passes <= 1.75
    assert all(PASS - 20 <= seconds <= PASS for seconds in took(found))


def test_readers_of_both_kinds_share_a_pass() -> None:
    """The carousels have everything within a pass of their start."""
    kinds = [(0.0, "image"), (0.0, "image"), (0.3, "carousel"), (0.5, "image"), (0.8, "carousel")]
    found = outcome(*(SimulatedReader(at=at * PASS, order=order) for at, order in kinds), ring=40)  # type: ignore[arg-type]
    assert 1.92 == pytest.approx(found.passes, abs=0.01)
    assert took(found)[2] <= PASS >= took(found)[4]


@pytest.mark.parametrize(("share", "passes"), [(4, 4.77), (2, 2.51)])
def test_readers_bound_by_their_targets_cost_beladys_optimum_in_a_free_pace(
    share: int, passes: float
) -> None:
    """Eight equal readers, an eighth apart; the look-ahead costs a little more."""
    settings: dict[str, Any] = {"look_ahead_runs": 1, "source_rate": 1000.0, "pace": "free"}
    found = outcome(*late(8, rate=1.0), ring=PASS // share, **settings)
    assert [PASS] * 8 == took(found)
    assert passes <= found.passes <= 1.02 * passes


@pytest.mark.parametrize("order", ["image", "carousel"])
def test_each_reader_of_a_cohort_has_its_own_waits(order: Order) -> None:
    """A reader that needs no time for its blocks waits all the time, whichever readers it joins."""
    readers = [SimulatedReader(at=at, order=order) for at in (0.0, *range(200, 227, 3))]
    found = outcome(*readers)
    assert [r.took for r in found.readers] == pytest.approx([r.waited for r in found.readers])


def test_readers_in_step_at_different_blocks_are_no_cohort() -> None:
    """They finish their blocks at the same time, and share none."""
    found = outcome(*late(4, rate=1.0), ring=4, source_rate=1000.0, pace="free")
    assert 3.5 < found.passes <= 4.05


@pytest.mark.parametrize(
    ("orders", "rates", "seed"),
    [
        (["image", "carousel"], [None, 0.5, 2.0], 1),
        (["carousel"], [0.3, 0.6], 1),
        (["carousel"], [0.3, 0.6], 2),
    ],
)
def test_every_reader_gets_everything(orders: list[Order], rates: list[float | None], seed: int) -> None:
    """Random readers of a few kinds: a reader's time is the time for its blocks, and its waits."""
    chance = random.Random(seed)
    readers = []
    for _ in range(40):
        at, order, rate = float(chance.randrange(PASS)), chance.choice(orders), chance.choice(rates)
        readers.append(SimulatedReader(at=at, order=order, rate=rate))
    found = outcome(*readers, ring=8, turn=5.0)
    assert all(r.took is not None for r in found.readers)
    for reader, finish in zip(readers, found.readers, strict=True):
        taking = 0.0 if reader.rate is None else PASS / reader.rate
        assert (finish.took or 0.0) - finish.waited == pytest.approx(taking)
    assert 1.0 <= found.passes


def test_rules_that_stand_still_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulation ends with an error where a mount would hang."""
    monkeypatch.setattr(Rules, "decide", lambda _rules, _now: Rest())
    with pytest.raises(UnusableError, match="the rules stand still at 5 s with 2 readers waiting"):
        outcome(SimulatedReader(), SimulatedReader(at=5.0))
