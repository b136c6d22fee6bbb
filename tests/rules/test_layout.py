"""Which blocks of an image are read, and their dense numbers, compared with one flag for each block."""

import json
from enum import Enum, auto
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs import layout
from fanoutfs.layout import Layout, Only, Span
from fanoutfs.ranges import Range

BLOCK = 10


class Kind(Enum):
    READ = auto()
    ZERO = auto()
    OUTSIDE = auto()


@st.composite
def ranges(draw: st.DrawFn) -> list[Range]:
    edges = sorted(draw(st.sets(st.integers(0, 260), max_size=12)))
    return [(begin, end - begin) for begin, end in zip(edges[::2], edges[1::2], strict=False)]


def touched(found: list[Range], block: int) -> bool:
    return any(offset < (block + 1) * BLOCK and block * BLOCK < offset + length for offset, length in found)


def kinds(size: int, data: list[Range] | None, only: Only | None) -> list[Kind]:
    """Return what each block is; a list without Kind.READ is one of which a block is read all the same."""
    found = []
    for block in range(-(-size // BLOCK)):
        if only is not None and not touched(list(only.ranges), block):
            found.append(Kind.ZERO if only.zero_rest else Kind.OUTSIDE)
        else:
            found.append(Kind.READ if data is None or touched(data, block) else Kind.ZERO)
    return found


@given(
    st.integers(1, 250),
    st.none() | ranges(),
    st.none() | st.builds(Only, ranges().filter(lambda found: found[:1] != []), st.booleans()),
)
def test_every_conversion_agrees_with_one_flag_for_each_block(
    size: int, data: list[Range] | None, only: Only | None
) -> None:
    """Blocks and bytes, both ways, at every place of the image."""
    known = kinds(size, data, only)
    inside = [block for block, _ in enumerate(known) if only is None or touched(list(only.ranges), block)]
    if not inside:
        with pytest.raises(ValueError, match="nothing"):
            Layout.of(size, BLOCK, data, only)
        return
    if Kind.READ not in known:
        known[inside[0]] = Kind.READ
    found = Layout.of(size, BLOCK, data, only)

    read = [block for block, kind in enumerate(known) if kind is Kind.READ]
    assert [found.image_block(dense) for dense in range(found.blocks)] == read
    assert [found.is_read(block) for block in range(len(known))] == [kind is Kind.READ for kind in known]
    assert [found.dense_block(block) for block in range(len(known) + 1)] == [
        sum(one < block for one in read) for block in range(len(known) + 1)
    ]
    assert found.is_whole == (len(read) == len(known))

    bytes_of = [offset for offset in range(size) if known[offset // BLOCK] is Kind.READ]
    assert found.read_size == len(bytes_of)
    assert [found.offset(dense) for dense in range(found.read_size + 1)] == [*bytes_of, size]
    assert [found.end(dense) for dense in range(1, found.read_size + 1)] == [one + 1 for one in bytes_of]
    assert [found.dense(offset) for offset in range(size + 1)] == [
        sum(one < offset for one in bytes_of) for offset in range(size + 1)
    ]

    def blocks_in(found: list[Range]) -> list[int]:
        return [offset for begin, length in found for offset in range(begin, begin + length)]

    for kind, there in (Kind.ZERO, found.zeros()), (Kind.OUTSIDE, found.left_alone()):
        assert blocks_in(list(there)) == [at for at in range(size) if known[at // BLOCK] is kind]

    spans = list(found.spans(0, size))
    assert blocks_in([(span.begin, span.end - span.begin) for span in spans]) == list(range(size))
    for span in spans:
        for offset in range(span.begin, span.end):
            assert (span.dense is not None) == (known[offset // BLOCK] is Kind.READ)
            assert span.dense is None or span.dense + offset - span.begin == found.dense(offset)

    for first in range(found.blocks):
        split = list(found.adjoining(first, found.blocks - first))
        assert [block for begin, count in split for block in range(begin, begin + count)] == read[first:]
        assert all(sum(one) < other[0] for one, other in pairwise(split))

    sent = json.loads(json.dumps(found.as_plain()))
    assert Layout.from_plain(size, BLOCK, sent) == found


def test_an_image_without_holes_is_whole() -> None:
    """Its dense numbers are those of the image, and nothing is sent of it."""
    found = Layout.of(95, BLOCK, None)

    assert found == Layout.whole(95, BLOCK)
    assert (found.is_whole, found.blocks, found.read_size, found.as_plain()) == (True, 10, 95, None)


def test_an_image_without_data_has_one_block_that_is_read() -> None:
    """The circle is never empty."""
    assert Layout.of(95, BLOCK, []).runs == ((0, 1),)
    assert Layout.of(95, BLOCK, [], Only([(52, 3)])).runs == ((5, 1),)


def test_a_piece_of_a_request_in_a_gap_has_no_dense_bytes() -> None:
    """The request is cut at both of the gap's ends."""
    found = Layout.of(95, BLOCK, [(0, 12), (40, 1)])

    assert list(found.spans(15, 30)) == [Span(15, 20, 15), Span(20, 40, None), Span(40, 45, 20)]


def test_of_too_many_runs_the_smallest_gaps_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in them is read, also where ``only`` leaves it out."""
    monkeypatch.setattr(layout, "MOST_RUNS", 2)
    data = [(0, BLOCK), (2 * BLOCK, BLOCK), (6 * BLOCK, BLOCK)]

    assert Layout.of(90, BLOCK, data).runs == ((0, 3), (6, 1))
    even = [(at, BLOCK) for at in range(0, 90, 2 * BLOCK)]
    assert Layout.of(90, BLOCK, even).runs == ((0, 7), (8, 1))
    found = Layout.of(90, BLOCK, None, Only(data))
    assert (found.runs, found.outside) == (((0, 3), (6, 1)), ((3, 3), (7, 2)))
