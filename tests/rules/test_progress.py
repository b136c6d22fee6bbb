from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.copying.progress import Phase, Progress, outcome, total
from fanoutfs.units import MIB

SIZE = 64 * 1024 * MIB


def started(phase: Phase, target: str = "/dev/sdc", **changes: Any) -> Progress:
    copy = Progress(target=target, size=SIZE, began=0.0, **changes)
    copy.enter(phase, 1.0)
    return copy


def copied(target: str = "/dev/sdc", *, resume: bool = False) -> Progress:
    copy = Progress(target=target, size=SIZE, began=0.0, resume=resume)
    for phase, now in {Phase.COPYING: 2.0, Phase.FLUSHING: 612.0, Phase.DONE: 614.0}.items():
        copy.enter(phase, now)
    return copy


def failed(error: str, target: str = "/dev/sdd") -> Progress:
    copy = started(Phase.COPYING, target=target)
    copy.fail(error, 5.0)
    return copy


def test_a_phase_begins_with_no_bytes() -> None:
    """Bytes, rate and time left are those of the phase."""
    copy = started(Phase.COPYING, waits="waits for the source")
    copy.advance(SIZE // 4, 11.0)

    assert copy.waits is None
    assert (0.25, SIZE / 40) == (copy.share, copy.rate)
    assert pytest.approx(30.0) == copy.time_left

    copy.enter(Phase.VERIFYING, 41.0)

    assert (0, 0.0, None, None) == (copy.done, copy.share, copy.rate, copy.time_left)
    assert {Phase.JOINING: 1.0, Phase.COPYING: 40.0} == copy.spent


def test_entering_the_same_phase_again_changes_nothing() -> None:
    """A worker may report its phase twice."""
    copy = started(Phase.COPYING)
    copy.advance(5 * MIB, 2.0)
    copy.enter(Phase.COPYING, 3.0)

    assert 5 * MIB == copy.done


def test_the_rate_falls_while_no_progress_is_reported() -> None:
    """A target that hangs does not look as if it continued."""
    copy = Progress(target="/dev/sdc", size=SIZE, began=0.0)
    copy.enter(Phase.COPYING, 0.0)
    copy.advance(100 * MIB, 1.0)
    copy.tick(100.0)

    assert copy.rate is not None
    assert copy.rate < MIB


@pytest.mark.parametrize("phase", [Phase.JOINING, Phase.FLUSHING, Phase.DONE, Phase.FAILED])
def test_a_phase_without_bytes_has_no_rate(phase: Phase) -> None:
    """Nor a time left."""
    copy = started(phase)
    copy.tick(2.0)
    copy.tick(3.0)

    assert (None, None) == (copy.rate, copy.time_left)


def test_the_bar_stays_full_after_the_copy() -> None:
    """All was copied."""
    copy = copied()

    assert (1.0, True) == (copy.share, copy.ended)


@given(
    st.lists(
        st.tuples(st.sampled_from([Phase.COPYING, Phase.FLUSHING, Phase.VERIFYING]), st.floats(0.0, 1e4))
    )
)
def test_the_phases_times_add_up(steps: list[tuple[Phase, float]]) -> None:
    """In any order, and however often they are entered."""
    copy = Progress(target="/dev/sdc", size=SIZE, began=0.0)
    now = 0.0
    for phase, seconds in steps:
        now += seconds
        copy.enter(phase, now)
    copy.fail("at byte 0: broken", now)

    assert pytest.approx(now) == copy.seconds(*copy.spent)


def test_the_outcome_of_a_good_copy_has_its_time_and_rate() -> None:
    """They are of copying and flushing."""
    assert "/dev/sdc: 64 GiB copied in 10 min 12 s, 107.1 MiB/s" == outcome(copied())


def test_the_outcome_has_the_time_of_verifying() -> None:
    """It does not change the rate of the copy."""
    copy = Progress(target="/srv/x.img", size=SIZE, began=0.0)
    phases = {Phase.COPYING: 1.0, Phase.FLUSHING: 600.0, Phase.VERIFYING: 613.0, Phase.DONE: 1096.0}
    for phase, now in phases.items():
        copy.enter(phase, now)
    copy.sha256 = "ab12" * 16
    said = "64 GiB copied in 10 min 12 s, 107.1 MiB/s, verified in 8 min 03 s, sha256"

    assert f"/srv/x.img: {said} {'ab12' * 16}" == outcome(copy)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (3 * MIB, "/dev/sdc: 64 GiB resumed in 10 min 12 s, 3 MiB of it written, 107.1 MiB/s"),
        (0, "/dev/sdc: 64 GiB resumed in 10 min 12 s, nothing was missing, 107.1 MiB/s"),
    ],
)
def test_the_outcome_of_a_resumed_copy_has_the_bytes_written(written: int, expected: str) -> None:
    """The rest was already right."""
    copy = copied(resume=True)
    copy.written = written

    assert expected == outcome(copy)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            "the target /dev/sdd can't be written at byte 5: input/output error; see dmesg",
            "/dev/sdd: FAILED: can't be written at byte 5: input/output error; see dmesg",
        ),
        ("the target /dev/sdd2 broke", "/dev/sdd: FAILED: the target /dev/sdd2 broke"),
        ("the worker was killed\nby signal 9", "/dev/sdd: FAILED: the worker was killed?by signal 9"),
    ],
)
def test_the_outcome_of_a_failed_copy_has_its_error(error: str, expected: str) -> None:
    """It names the target once, on one line."""
    assert expected == outcome(failed(error))


def test_the_line_on_all_copies_counts_them() -> None:
    """With their total time; only if it has more content than the line of a single copy."""
    copies = [copied("/dev/sdb"), failed("at byte 0: broken"), copied(), failed("at byte 1: broken")]

    assert "2 of 4 copies are good; 2 failed; 10 min 20 s in total" == total(copies, 620.0)
    assert "2 of 2 copies are good; 10 min 20 s in total" == total([copies[0], copies[2]], 620.0)
    assert total(copies[1:2], 620.0) is None
    assert total(copies[:1], 620.0) is None


def test_the_total_time_of_a_verified_copy() -> None:
    """It has copying and verifying, and the wait before."""
    copy = copied()
    copy.verify = True

    assert "the copy is good; 20 min 00 s in total" == total([copy], 1200.0)


def test_the_time_left_includes_the_verification() -> None:
    """It is assumed to be as fast as the copy; once it runs, its own rate counts."""
    copy = started(Phase.COPYING, verify=True)
    copy.advance(SIZE // 4, 11.0)

    assert pytest.approx(30.0 + 40.0) == copy.time_left

    copy.enter(Phase.VERIFYING, 41.0)
    copy.advance(SIZE // 2, 51.0)

    assert pytest.approx(10.0) == copy.time_left


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (Phase.JOINING, "stopped before the first byte"),
        (Phase.COPYING, "stopped at 16 GiB of 64 GiB"),
        (Phase.FLUSHING, "stopped while flushing"),
        (Phase.VERIFYING, "stopped while verifying, at 16 GiB of 64 GiB"),
    ],
)
def test_an_interrupted_copy_is_incomplete(phase: Phase, expected: str) -> None:
    """Neither good nor failed: it can be resumed."""
    copy = started(phase, target="/dev/sde")
    copy.advance(SIZE // 4, 2.0)

    assert f"/dev/sde: NOT FINISHED: {expected}" == outcome(copy)
    assert "1 of 3 copies are good; 1 failed, 1 not finished; 5 s in total" == total(
        [copied(), copy, failed("it broke")], 5.0
    )
