"""What `copy` draws of its copies on a terminal, and that it draws nothing elsewhere."""

import pytest
from rich.cells import cell_len
from rich.console import Console

from fanoutfs.copying.bars import Bars, Display
from fanoutfs.copying.progress import Phase, Progress
from fanoutfs.units import MIB
from tests.rig.drawing import console, drawn

SIZE = 1000 * MIB
HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"


def lines(
    *copies: Progress, width: int = 80, height: int = 24, source_rate: float | None = None
) -> list[str]:
    on = console(width=width, height=height, is_terminal=False)
    on.print(Bars(copies, 10.0, source_rate))
    return [line.rstrip() for line in drawn(on).splitlines()]


def copying(target: str = "/dev/sdc", done: int = SIZE // 4, start: int | None = 0) -> Progress:
    copy = Progress(target=target, size=SIZE, began=0.0, start=start)
    copy.enter(Phase.COPYING, 0.0)
    copy.advance(done, 10.0)
    return copy


def test_each_target_has_a_line() -> None:
    """Phase, share, bar, rate, time left; what it waits for, or where it began."""
    waiting = copying("/dev/sdd", SIZE // 2, SIZE * 43 // 100)
    waiting.waits = "waits for the source"
    late = copying("/dev/sde", SIZE // 10, SIZE * 43 // 100)
    found = lines(
        copying(), waiting, late, Progress(target="/dev/sdf", size=SIZE, began=0.0), source_rate=50 * MIB
    )
    expected = """\
1000 MiB to 4 targets, source read at 50 MiB/s, 0:00:10 elapsed, about 0:01:30 …
/dev/sdc copying    25% ━━╸            25 MiB/s  0:00:30
/dev/sdd copying    50% ━━━━━╸         50 MiB/s  0:00:10 waits for the source; …
/dev/sde copying    10% ━              10 MiB/s  0:01:30 began at 43%
/dev/sdf joining     0%
"""
    assert expected.splitlines() == found


def test_a_wide_terminal_shows_the_bytes() -> None:
    """And all of what is to be said."""
    copy = copying(start=SIZE * 43 // 100)
    copy.waits = "waits for reader 3 (dd)"
    told = lines(copy, width=120)[1]

    assert "  25% " in told
    assert told.endswith("   250 MiB    25 MiB/s  0:00:30 waits for reader 3 (dd); began at 43%")


def test_the_end_of_a_copy_is_told_in_its_line() -> None:
    """The others go on."""
    done, bad, flushed = copying("/dev/sdc"), copying("/dev/sdd"), copying("/dev/sde")
    done.enter(Phase.DONE, 612.0)
    bad.fail("the target /dev/sdd can't be written at byte 5: input/output error; see dmesg", 12.0)
    flushed.enter(Phase.FLUSHING, 12.0)
    found = lines(done, bad, flushed, width=100)

    assert "1000 MiB to 3 targets, 1 done, 1 failed, 0:00:10 elapsed" == found[0]
    assert found[1].startswith("/dev/sdc done      100% ━━━━━━━━━━━━━━")
    assert found[1].endswith(" 1000 MiB                      in 10 min 12 s")
    assert "/dev/sdd failed     25% " == found[2][:24]
    assert found[2].endswith("can't be written at byte 5: input/output error; see dmesg")
    assert found[3].endswith(" 1000 MiB")


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("count", [1, 4, 60])
def test_lines_fit_the_terminal(count: int, width: int) -> None:
    """In width, and in height with a line left for the cursor."""
    copies = [copying(f"/dev/disk/by-id/usb-復元_Ultra_{number:020}") for number in range(count)]
    found = lines(*copies, width=width)

    assert max(map(cell_len, found)) <= width
    assert len(found) <= 23


def test_a_long_path_is_shortened_at_its_left() -> None:
    """Its end tells it from the others."""
    assert lines(copying("/dev/disk/by-id/usb-Stick_0815"))[1].startswith("…/usb-Stick_0815 copying ")


def test_targets_that_do_not_fit_are_counted() -> None:
    """Those that failed have a line, then those at work."""
    copies = [copying(f"/dev/sd{number}") for number in range(30)]
    for copy in copies[:10]:
        copy.enter(Phase.DONE, 20.0)
    copies[29].fail("at byte 5: input/output error", 20.0)
    found = lines(*copies, height=15)

    assert "and 18 more: 10 done, 8 copying" == found[-1]
    assert "/dev/sd10" == found[1].split()[0]
    assert "/dev/sd29" == found[-2].split()[0]
    assert 14 == len(found)


def test_lines_are_drawn_over_themselves_and_taken_away() -> None:
    """What comes last is said on standard output, by somebody else."""
    on, copy = console(), copying()
    with Display([copy], on) as display:
        display.draw(10.0)
        copy.advance(SIZE // 2, 20.0)
        display.draw(20.0)
        on.print("fanoutfs: a line that stays")
        display.draw(21.0)
    shown = drawn(on)

    assert shown.startswith(HIDDEN)
    assert " 25% " in shown
    assert " 50% " in shown
    assert 1 == shown.count("fanoutfs: a line that stays")
    assert shown.rindex(SHOWN) > shown.rindex(" 50% ")
    assert shown.endswith("\x1b[1A\x1b[2K")


@pytest.mark.parametrize(
    "on", [console(is_terminal=False), console(term="dumb")], ids=["no terminal", "dumb"]
)
def test_where_nothing_is_to_be_drawn_only_lines_are_said(on: Console) -> None:
    """A log is no place for bars; older versions of rich end with an empty line."""
    with Display([copying()], on) as display:
        display.draw(10.0)
        on.print("fanoutfs: a line that stays")

    assert ["fanoutfs: a line that stays"] == drawn(on).strip("\n").split("\n")


def test_an_error_gives_the_cursor_back() -> None:
    """Whatever ends the command."""
    on = console()

    def broken_off() -> None:
        with Display([copying()], on) as display:
            display.draw(10.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()

    assert drawn(on).rindex(SHOWN) > drawn(on).rindex(HIDDEN)


def test_a_refresh_lets_time_pass() -> None:
    """The rate of a target that hangs falls while it is looked at."""
    copy = copying()
    with Display([copy], console()) as display:
        display.draw(300.0)

    assert copy.rate is not None
    assert copy.rate < MIB
