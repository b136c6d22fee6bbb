"""Progress as lines: the texts, and how seldom one comes."""

from typing import Any

import pytest

from fanoutfs.copying.progress import Phase, Progress
from fanoutfs.copying.progress_line import LOG_SECONDS, ProgressLog, progress_line
from fanoutfs.units import ANY_SIZE, MIB

GIB = 1024 * MIB
SIZE = 64 * GIB


def copy(target: str = "/dev/sdc", *, phase: Phase = Phase.COPYING, done: int = 0, **more: Any) -> Progress:
    progress = Progress(target=target, began=0.0, **{"size": SIZE, **more})
    progress.enter(phase, 0.0)
    if done:
        progress.advance(done, 10.0)
    return progress


def failed() -> Progress:
    progress = copy("/dev/sdd")
    progress.fail("the target /dev/sdd can't be written at 4096: input/output error", 5.0)
    return progress


@pytest.mark.parametrize(
    ("progress", "line"),
    [
        (Progress(target="/dev/sdc", size=SIZE, began=0.0), "/dev/sdc: joining"),
        (copy(done=16 * GIB), "/dev/sdc: copying, 25%, 16 GiB of 64 GiB, 1.6 GiB/s, about 0:00:30 left"),
        (copy(size=ANY_SIZE, done=16 * GIB), "/dev/sdc: copying, 16 GiB, 1.6 GiB/s"),
        (copy("a\x1bb", phase=Phase.FLUSHING), "a?b: flushing"),
        (failed(), "/dev/sdd: FAILED: can't be written at 4096: input/output error"),
    ],
)
def test_the_line_on_a_copy(progress: Progress, line: str) -> None:
    """What it does, how far it is, at what rate; or how it has ended."""
    assert line == progress_line(progress)


def test_a_copy_that_waits() -> None:
    """The line ends with what it waits for."""
    progress = copy(done=GIB)
    progress.waits = "waits for the source"

    assert progress_line(progress).endswith(", waits for the source")


def test_a_log_has_a_line_now_and_then() -> None:
    """The first after ten seconds, none twice within ten, none while the percentage is the same."""
    progress = copy()
    journal = ProgressLog([progress])

    def told(now: float, percent: int) -> bool:
        progress.advance(SIZE * percent // 100, now)
        return journal.line(now) is not None

    times = [0.2, LOG_SECONDS, LOG_SECONDS + 0.2, 2 * LOG_SECONDS, 3 * LOG_SECONDS, 4 * LOG_SECONDS]
    assert [False, True, False, True, False, True] == list(map(told, times, [1, 2, 3, 4, 4, 5]))


def test_a_log_is_about_the_slowest() -> None:
    """With several targets the line says how many have ended."""
    copies = [copy("fast", phase=Phase.VERIFYING), copy("slow", done=GIB), copy("less slow", done=2 * GIB)]
    copies += [failed(), copy("good", phase=Phase.DONE)]

    line = ProgressLog(copies).line(LOG_SECONDS)
    assert line is not None
    assert line.startswith("2 of 5 targets have ended; the last is slow: copying, 2%, 1 GiB of 64 GiB")


def test_a_log_has_no_line_when_all_have_ended() -> None:
    """The outcome follows."""
    assert ProgressLog([failed()]).line(100.0) is None
