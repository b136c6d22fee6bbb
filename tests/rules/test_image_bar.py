from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.status.document import ReaderEntry
from fanoutfs.top.image_bar import (
    ASCII,
    LINES,
    extents,
    head_line,
    lane,
    mark_lines,
    ring_line,
    scale_line,
    shares,
)
from tests.documents import reader

SIZE, WIDTH = 1000, 20


def at(number: int, position: int, **said: Any) -> ReaderEntry:
    return reader(number, position=position, left=SIZE - position, **said)


def wrapping(start: int, had: int, **said: Any) -> ReaderEntry:
    position = (start + had) % SIZE
    return reader(kind="carousel", start=start, position=position, left=SIZE - had, **said)


def test_what_is_in_the_ring_is_drawn_where_it_lies() -> None:
    """Whole cells, more than half of one, less, nothing."""
    arcs = [[0, 100], [210, 250], [510, 520]]

    assert "██░░▓░░░░░▒░░░░░░░░░" == ring_line(arcs, SIZE, WIDTH, LINES).plain


def test_without_utf_8_the_picture_is_drawn_in_ascii() -> None:
    """Every sign has one of ASCII in its place."""
    arcs = [[0, 100], [210, 250], [510, 520]]

    assert "##..+.....:........." == ring_line(arcs, SIZE, WIDTH, ASCII).plain
    assert "=====>----|---------" == lane(at(1, 270, start=-0), 500, SIZE, WIDTH, ASCII).plain.replace(
        "[", "="
    )


@given(st.integers(1, 10**15), st.integers(1, 300), st.data())
def test_shares_add_up_to_what_is_covered(size: int, width: int, data: st.DataObject) -> None:
    """However small the image and wide the terminal; none is more than a whole cell."""
    borders = sorted(data.draw(st.sets(st.integers(0, size), max_size=12)))
    arcs = list(zip(borders[::2], borders[1::2], strict=False))
    found = shares(arcs, size, width)

    assert width == len(found)
    assert max(found) <= 1.0 + 1e-6
    assert pytest.approx(sum(b - a for a, b in arcs), rel=1e-6, abs=size * 1e-9) == sum(found) * size / width


def test_the_head_is_named_on_the_side_that_has_room() -> None:
    """It must not be cut off at the terminal's edge."""
    assert "     ▼ head 25.0%" == head_line(250, SIZE, WIDTH, LINES).plain
    assert "        head 95.0% ▼" == head_line(950, SIZE, WIDTH, LINES).plain


def test_readers_are_marked_and_named_below_the_ring() -> None:
    """Those at one place share a name, those in a row a range."""
    marks, names = mark_lines([at(1, 0), at(2, 500), at(3, 510), at(4, 500), at(7, 500)], SIZE, 20, LINES)

    assert "▲         ▲" == marks.plain
    assert "1         2-4,7" == names.plain


def test_names_that_would_overlap_are_joined() -> None:
    """Each place has its mark all the same."""
    marks, names = mark_lines([at(11, 500), at(12, 560), at(40, 990)], SIZE, 20, LINES)

    assert "          ▲▲       ▲" == marks.plain
    assert "          11-12   40" == names.plain


def test_a_crowd_is_counted() -> None:
    """A list of numbers that is longer than a few words says nothing."""
    _, names = mark_lines([at(number, 100) for number in range(1, 40, 2)], SIZE, 40, LINES)

    assert "    20 readers" == names.plain


def test_who_has_not_begun_or_has_all_has_no_mark() -> None:
    """They are nowhere on the ring."""
    marks, names = mark_lines([at(1, 0, start=None), at(2, SIZE)], SIZE, 20, LINES)

    assert ("", "") == (marks.plain, names.plain)


@given(st.lists(st.integers(0, SIZE - 1), max_size=60), st.integers(16, 200))
def test_names_stay_within_the_width_and_apart(positions: list[int], width: int) -> None:
    """Wherever the readers are; the first name stands at or before its mark."""
    readers = [at(number, position) for number, position in enumerate(positions, 1)]
    marks, names = mark_lines(readers, SIZE, width, LINES)
    counted = sum(_count(label) for label in names.plain.replace(" readers", "r").split())

    assert len(names.plain) <= width
    assert len({position * width // SIZE for position in positions}) == marks.plain.count("▲")
    assert len(positions) == counted


def _count(label: str) -> int:
    if label.endswith("r"):
        return int(label[:-1])
    ends = [part.split("-") for part in label.split(",")]
    return sum(int(end[-1]) - int(end[0]) + 1 for end in ends)


def test_a_lane_shows_beginning_way_and_place() -> None:
    """And where the head is, which tells how far behind it is."""
    assert "├═══►─────│─────────" == lane(at(1, 200), 500, SIZE, WIDTH, LINES).plain


def test_a_lane_of_a_late_one_goes_over_the_end() -> None:
    """What it had and what is to go are parts of one turn."""
    assert "════►─────├═════════" == lane(wrapping(500, 700), 200, SIZE, WIDTH, LINES).plain
    assert "──────────├══►──────" == lane(wrapping(500, 150), 650, SIZE, WIDTH, LINES).plain


def test_a_lane_of_who_has_all_is_full() -> None:
    """Also of one that began in the middle."""
    assert "══════════├══│══════" == lane(wrapping(500, SIZE), 650, SIZE, WIDTH, LINES).plain
    assert "├════════════│══════" == lane(at(1, SIZE), 650, SIZE, WIDTH, LINES).plain


def test_a_lane_of_who_has_not_begun_is_all_to_go() -> None:
    """It has no place yet."""
    assert "─────────────│──────" == lane(at(1, 0, start=None), 650, SIZE, WIDTH, LINES).plain


def test_one_who_went_back_behind_its_beginning_has_had_nothing_to_draw() -> None:
    """What lies between is not known."""
    assert ([], [(200, SIZE)]) == extents(at(1, 200, start=700), SIZE)
    assert ([], [(800, SIZE)]) == extents(at(1, 800, start=700, sequential=False), SIZE)


@given(st.integers(0, SIZE - 1), st.integers(0, SIZE))
def test_what_a_turn_has_had_and_what_is_to_go_are_the_image(start: int, had: int) -> None:
    """Each byte once."""
    arcs = sorted(arc for part in extents(wrapping(start, had), SIZE) for arc in part)

    assert (0, SIZE) == (arcs[0][0], arcs[-1][1])
    assert [end for _, end in arcs[:-1]] == [begin for begin, _ in arcs[1:]]


def test_the_scale_leaves_out_what_has_no_room() -> None:
    """The image's size is always there."""
    assert "0       250 B     500 B     750 B 1000 B" == scale_line(SIZE, 40).plain
    assert "0 250 B     1000 B" == scale_line(SIZE, 18).plain
    assert "0  1000 B" == scale_line(SIZE, 9).plain
