from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.status.document import ReaderEntry
from fanoutfs.status.extents import extents
from fanoutfs.top.image_bar import (
    ASCII,
    LINES,
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


def test_the_rings_blocks_are_drawn_where_they_lie() -> None:
    """Whole cells, more than half of one, less, nothing; without UTF-8 each sign is an ASCII one."""
    arcs = [[0, 100], [210, 250], [510, 520]]

    assert "██░░▓░░░░░▒░░░░░░░░░" == ring_line(arcs, SIZE, WIDTH, LINES).plain
    assert "##..+.....:........." == ring_line(arcs, SIZE, WIDTH, ASCII).plain
    assert "[====>----|---------" == lane(at(1, 270), 500, SIZE, WIDTH, ASCII).plain


@given(st.integers(1, 10**15), st.integers(1, 300), st.data())
def test_shares_add_up_to_what_is_covered(size: int, width: int, data: st.DataObject) -> None:
    """However small the image and wide the terminal; no share is more than a whole cell."""
    borders = sorted(data.draw(st.sets(st.integers(0, size), max_size=12)))
    arcs = list(zip(borders[::2], borders[1::2], strict=False))
    found = shares(arcs, size, width)

    assert width == len(found)
    assert max(found) <= 1.0 + 1e-6
    assert pytest.approx(sum(b - a for a, b in arcs), rel=1e-6, abs=size * 1e-9) == sum(found) * size / width


def test_the_head_is_named_on_the_side_that_has_room() -> None:
    """It is not cut off at the terminal's edge."""
    assert "     ▼ head 25.0%" == head_line(250, SIZE, WIDTH, LINES).plain
    assert "        head 95.0% ▼" == head_line(950, SIZE, WIDTH, LINES).plain


@pytest.mark.parametrize(
    ("readers", "width", "expected"),
    [
        (
            [at(1, 0), at(2, 500), at(3, 510), at(4, 500), at(7, 500)],
            20,
            ("▲         ▲", "1         2-4,7"),
        ),
        (
            [at(11, 500), at(12, 560), at(40, 990)],
            20,
            ("          ▲▲       ▲", "          11-12   40"),
        ),
        ([at(number, 100) for number in range(1, 40, 2)], 40, ("    ▲", "    20 readers")),
        ([at(1, 0, start=None), at(2, SIZE)], 20, ("", "")),
    ],
    ids=[
        "those at one place share a name",
        "names that would overlap are joined",
        "a crowd is counted",
        "none",
    ],
)
def test_reader_marks_and_names(readers: list[ReaderEntry], width: int, expected: tuple[str, str]) -> None:
    """Below the ring each place has a mark, but a reader that has read nothing or everything has none."""
    marks, names = mark_lines(readers, SIZE, width, LINES)

    assert expected == (marks.plain, names.plain)


@given(st.lists(st.integers(0, SIZE - 1), max_size=60), st.integers(16, 200))
def test_names_stay_within_the_width_and_apart(positions: list[int], width: int) -> None:
    """Wherever the readers are."""
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


@pytest.mark.parametrize(
    ("shown", "head", "expected"),
    [
        (at(1, 200), 500, "├═══►─────│─────────"),
        (wrapping(500, 700), 200, "════►─────├═════════"),
        (wrapping(500, 150), 650, "──────────├══►──────"),
        (wrapping(500, SIZE), 650, "══════════├══│══════"),
        (at(1, SIZE), 650, "├════════════│══════"),
        (at(1, 0, start=None), 650, "─────────────│──────"),
    ],
    ids=["in order", "over the end", "at the head", "a complete turn", "complete", "not begun"],
)
def test_a_lane_shows_start_way_and_position(shown: ReaderEntry, head: int, expected: str) -> None:
    """And where the head is, which shows how far behind the reader is."""
    assert expected == lane(shown, head, SIZE, WIDTH, LINES).plain


def test_a_reader_that_went_back_before_its_start_has_no_known_part() -> None:
    """Nothing is known of the part between."""
    assert ([], [(200, SIZE)]) == extents(at(1, 200, start=700), SIZE)
    assert ([], [(800, SIZE)]) == extents(at(1, 800, start=700, sequential=False), SIZE)


@given(st.integers(0, SIZE - 1), st.integers(0, SIZE))
def test_the_read_and_unread_parts_of_a_turn_are_the_image(start: int, had: int) -> None:
    """They have each byte once."""
    arcs = sorted(arc for part in extents(wrapping(start, had), SIZE) for arc in part)

    assert (0, SIZE) == (arcs[0][0], arcs[-1][1])
    assert [end for _, end in arcs[:-1]] == [begin for begin, _ in arcs[1:]]


def test_the_scale_omits_labels_that_have_no_room() -> None:
    """The image's size is always shown."""
    assert "0       250 B     500 B     750 B 1000 B" == scale_line(SIZE, 40).plain
    assert "0 250 B     1000 B" == scale_line(SIZE, 18).plain
    assert "0  1000 B" == scale_line(SIZE, 9).plain
