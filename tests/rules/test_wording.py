import pytest

from fanoutfs.status.rates import Speeds
from fanoutfs.status.text import countdown, fit, printable, shorten
from fanoutfs.status.wording import (
    choose,
    label,
    state,
    summary,
    time_left,
    waiting_for,
)
from fanoutfs.units import MIB
from tests.documents import SIZE, reader

NAMED = {3: reader(3), 4: reader(4, kind="copy", command="fanoutfs", target="/dev/disk/by-id/usb-Stick_0815")}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"start": None}, "has not read yet"),
        ({}, "reads"),
        ({"sequential": False}, "reads non-sequentially"),
        ({"live": False}, "dormant; no reader waits for it"),
        ({"position": SIZE, "left": 0, "live": False}, "complete"),
        ({"waiting": "source", "sweep_in": 0.2}, "waits for the source"),
        (
            {"waiting": "source", "sweep_in": 3.7},
            "waits for the source; the sequential pass arrives in about 4 s",
        ),
        ({"waiting": 3}, "waits for reader 3 (dd, pid 4703)"),
        ({"waiting": 4}, "waits for reader 4 (…y-id/usb-Stick_0815, pid 4704)"),
        ({"waiting": 99}, "waits for reader 99"),
    ],
)
def test_a_reader_is_told_by_what_it_does(said: dict[str, object], expected: str) -> None:
    """What it waits for goes before all else."""
    assert expected == state(reader(1, **said), NAMED, 0, brief=False)


def test_where_there_is_little_room_a_state_is_short() -> None:
    """It says the same."""
    assert "waits for 3 (dd, pid 4703)" == state(reader(1, waiting=3), NAMED, 0, brief=True)
    late = reader(1, waiting="source", sweep_in=3.7)
    assert "waits for the source, 4 s; 2 wait for it" == state(late, NAMED, 2, brief=True)


def test_who_holds_others_up_is_told_so() -> None:
    """It is the one to look after."""
    assert "reads; 19 wait for it" == state(reader(3), NAMED, 19, brief=False)
    assert "reads; 1 waits for it" == state(reader(3), NAMED, 1, brief=False)


def test_a_copy_is_named_by_its_target() -> None:
    """All of them run the same command."""
    assert "/dev/disk/by-id/usb-Stick_0815" == label(NAMED[4])
    assert "dd" == label(NAMED[3])


def test_a_name_can_do_nothing_to_the_terminal() -> None:
    """A process may call itself an escape sequence, a path may be no text at all."""
    assert "?[2Jdd?" == printable("\x1b[2Jdd\udcff")


def test_a_path_is_cut_at_its_left() -> None:
    """Its end tells it from the others."""
    assert "…/copy.img" == shorten("/srv/images/copy.img", 10)
    assert "/dev/sdc" == shorten("/dev/sdc", 8)


def test_the_time_left_follows_from_the_rate() -> None:
    """Of one that nothing is known of, that has all, jumps or is dormant there is none."""
    speeds = Speeds(None, {1: 10.0 * MIB})

    assert 50.0 == time_left(reader(1), speeds)
    for other in (reader(2), reader(1, left=0), reader(1, live=False), reader(1, sequential=False)):
        assert time_left(other, speeds) is None


def test_who_waits_for_the_sweep_goes_on_at_the_sources_rate() -> None:
    """What it gets by detours until then says nothing about the time that is left."""
    late = reader(1, waiting="source", sweep_in=30.0)

    assert 55.0 == time_left(late, Speeds(20.0 * MIB, {1: 0.5 * MIB}))
    assert time_left(late, Speeds(None, {1: 0.5 * MIB})) is None


@pytest.mark.parametrize(
    ("seconds", "expected"), [(None, "-"), (4.4, "0:00:04"), (7384.0, "2:03:04"), (100_000.0, "27 h 47 min")]
)
def test_a_time_left_is_short(seconds: float | None, expected: str) -> None:
    """It stands in a column."""
    assert expected == countdown(seconds)


def test_a_text_is_cut_or_filled_to_a_place() -> None:
    """Where it was cut is shown; letters that are two columns wide count as two."""
    assert "dd  " == fit("dd", 4)
    assert "  dd" == fit("dd", 4, right=True)
    assert "long…" == fit("longer", 5)
    assert "復…" == fit("復元", 3)
    assert "復元 " == fit("復元", 5)


def test_a_crowd_is_counted_by_what_it_does() -> None:
    """The many first; two of those who are waited for are named."""
    waiting = [3] * 5 + [4] * 2 + [7, 8]
    readers = [reader(100 + i, waiting=holder) for i, holder in enumerate(waiting)]
    readers += [reader(number) for number in (3, 4, 7)] + [reader(9, waiting="source")]
    told = (
        "5 waiting for reader 3 (dd, pid 4703), 3 reading, 2 waiting for reader 4 (dd, pid 4704), "
        "2 waiting for other readers, 1 waiting for the source"
    )

    assert told == summary(readers, readers)
    assert {3: 5, 4: 2, 7: 1, 8: 1} == waiting_for(readers)


def test_when_all_fit_all_are_shown() -> None:
    """In their order."""
    readers = [reader(number) for number in range(5)]

    assert (readers, []) == choose(readers, 5)


def test_when_not_all_fit_who_holds_others_up_is_shown() -> None:
    """A row is kept for the words on the rest."""
    readers = [reader(number, waiting=8 if number < 4 else None) for number in range(10)]
    shown, rest = choose(readers, 4)

    assert [0, 1, 8] == [one.id for one in shown]
    assert [2, 3, 4, 5, 6, 7, 9] == [one.id for one in rest]


def test_without_a_row_nobody_is_shown() -> None:
    """A very small terminal."""
    readers = [reader(1), reader(2)]

    assert ([], readers) == choose(readers, 0)
