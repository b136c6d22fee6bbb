from typing import Any

import pytest

from fanoutfs.status.document import ReaderEntry
from fanoutfs.status.rates import Speeds
from fanoutfs.status.text import countdown, fit, printable, shorten
from fanoutfs.status.wording import choose, label, source_text, state, summary, time_left, waiting_for
from fanoutfs.units import MIB
from tests.documents import SIZE, document, reader

NAMED = {3: reader(3), 4: reader(4, kind="copy", command="fanoutfs", target="/dev/disk/by-id/usb-Stick_0815")}


LATE = {"waiting": "source", "sweep_in": 3.7}


@pytest.mark.parametrize(
    ("said", "followers", "expected"),
    [
        ({"start": None}, 0, "has not read yet"),
        ({}, 0, "reads"),
        ({"sequential": False}, 0, "reads non-sequentially"),
        ({"live": False}, 0, "dormant; no reader waits for it"),
        ({"position": SIZE, "left": 0, "live": False}, 0, "complete"),
        ({"waiting": "source", "sweep_in": 0.2}, 0, "waits for the source"),
        (LATE, 0, "waits for the source; the sequential pass arrives in about 4 s"),
        ({"waiting": 3}, 0, "waits for reader 3 (dd, pid 4703)"),
        ({"waiting": 4}, 0, "waits for reader 4 (…y-id/usb-Stick_0815, pid 4704)"),
        ({"waiting": 99}, 0, "waits for reader 99"),
        ({"id": 3}, 19, "reads; 19 wait for it"),
        ({"id": 3}, 1, "reads; 1 waits for it"),
    ],
)
def test_the_state_of_a_reader(said: dict[str, Any], followers: int, expected: str) -> None:
    """A reader that waits is told by what it waits for; then come the readers that wait for it."""
    assert expected == state(reader(1, **said), NAMED, followers, brief=False)


def test_a_brief_state() -> None:
    """It has the same content."""
    assert "waits for 3 (dd, pid 4703)" == state(reader(1, waiting=3), NAMED, 0, brief=True)
    assert "waits for the source, 4 s; 2 wait for it" == state(reader(1, **LATE), NAMED, 2, brief=True)


def test_a_copy_is_named_by_its_target() -> None:
    """All copies run the same command."""
    assert "/dev/disk/by-id/usb-Stick_0815" == label(NAMED[4])
    assert "dd" == label(NAMED[3])


def test_a_name_cannot_control_the_terminal() -> None:
    """A process name may be an escape sequence, and a path may be no text."""
    assert "?[2Jdd?" == printable("\x1b[2Jdd\udcff")


def test_a_path_is_cut_on_the_left() -> None:
    """Its end distinguishes it from others."""
    assert "…/copy.img" == shorten("/srv/images/copy.img", 10)
    assert "/dev/sdc" == shorten("/dev/sdc", 8)


def test_the_time_left_follows_from_the_rate() -> None:
    """A reader with unknown rate, or one that is complete, jumping or dormant, has none."""
    speeds = Speeds(None, {1: 10.0 * MIB})

    assert 50.0 == time_left(reader(1), speeds)
    for other in (reader(2), reader(1, left=0), reader(1, live=False), reader(1, sequential=False)):
        assert time_left(other, speeds) is None


def test_a_reader_that_waits_for_the_sequential_pass_continues_at_the_sources_rate() -> None:
    """Its rate until then comes from detours and does not count."""
    late = reader(1, waiting="source", sweep_in=30.0)

    assert 55.0 == time_left(late, Speeds(20.0 * MIB, {1: 0.5 * MIB}))
    assert time_left(late, Speeds(None, {1: 0.5 * MIB})) is None


@pytest.mark.parametrize(
    ("seconds", "expected"), [(None, "-"), (4.4, "0:00:04"), (7384.0, "2:03:04"), (100_000.0, "27 h 47 min")]
)
def test_a_time_left_is_short(seconds: float | None, expected: str) -> None:
    """It is shown in a column."""
    assert expected == countdown(seconds)


def test_a_text_is_cut_or_padded_to_a_width() -> None:
    """A cut is shown; letters that are two columns wide count as two."""
    assert "dd  " == fit("dd", 4)
    assert "  dd" == fit("dd", 4, right=True)
    assert "long…" == fit("longer", 5)
    assert "復…" == fit("復元", 3)
    assert "復元 " == fit("復元", 5)


def test_a_crowd_is_counted_by_state() -> None:
    """The largest group first; two of the readers that are waited for are named."""
    waiting = [3] * 5 + [4] * 2 + [7, 8]
    readers = [reader(100 + i, waiting=holder) for i, holder in enumerate(waiting)]
    readers += [reader(number) for number in (3, 4, 7)] + [reader(9, waiting="source")]
    told = (
        "5 waiting for reader 3 (dd, pid 4703), 3 reading, 2 waiting for reader 4 (dd, pid 4704), "
        "2 waiting for other readers, 1 waiting for the source"
    )

    assert told == summary(readers, readers)
    assert {3: 5, 4: 2, 7: 1, 8: 1} == waiting_for(readers)


CROWD = [reader(number, waiting=8 if number < 4 else None) for number in range(10)]


@pytest.mark.parametrize(
    ("readers", "rows", "expected"),
    [
        ([reader(number) for number in range(5)], 5, ([0, 1, 2, 3, 4], [])),
        (CROWD, 4, ([0, 1, 8], [2, 3, 4, 5, 6, 7, 9])),
        ([reader(1), reader(2)], 0, ([], [1, 2])),
    ],
    ids=["all fit", "a row is kept for the rest", "a very small terminal"],
)
def test_the_shown_readers_and_the_rest(
    readers: list[ReaderEntry], rows: int, expected: tuple[list[int], list[int]]
) -> None:
    """Both in their order; a reader that others wait for is shown first of all."""
    shown, rest = choose(readers, rows)

    assert expected == ([one.id for one in shown], [one.id for one in rest])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (None, "500 MiB, 0.50 times the image"),
        (SIZE, "500 MiB, 0.50 times the image"),
        (250 * MIB, "500 MiB, 2.00 times its 250 MiB of data"),
    ],
)
def test_what_was_read_is_compared_with_what_there_is_to_read(data: int | None, expected: str) -> None:
    """Holes do not count; the program of another computer may not tell."""
    assert source_text(document(source={"data": data}).source) == expected
