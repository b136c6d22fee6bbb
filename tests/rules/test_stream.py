import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.ring.stream import AHEAD, BEHIND, MOST_PIECES, Stream
from fanoutfs.units import KIB, MIB

SIZE = 1024 * MIB


def read(stream: Stream, offset: int, size: int) -> bool:
    jumped = stream.begin(offset, size)
    stream.acknowledge(offset, size)
    return jumped


@pytest.mark.parametrize(
    ("reads", "jumped", "position", "sequential"),
    [
        ([(0, 512)], True, 512, True),
        ([(5 * MIB, 4096)], True, 5 * MIB + 4096, False),
        ([(5 * MIB, 4096), (5 * MIB + 4096, 4096)], False, 5 * MIB + 8192, True),
        ([(0, MIB), (500 * MIB, 4096)], True, 500 * MIB + 4096, False),
        ([(SIZE - 4096, 4096)], True, SIZE, False),
        ([(0, 40 * MIB), (40 * MIB - BEHIND, 4096)], False, 40 * MIB, True),
    ],
    ids=["at 0: dd, cp", "a probe", "two that adjoin", "a jump", "the end: tail -c", "a page again"],
)
def test_a_stream_after_some_reads(
    reads: list[tuple[int, int]], jumped: bool, position: int, sequential: bool
) -> None:
    """It is sequential at once from block 0, elsewhere from the second read; a page behind it is no jump."""
    stream = Stream()
    found = [read(stream, offset, size) for offset, size in reads]

    assert (jumped, position, sequential) == (found[-1], stream.position, stream.sequential)


def test_adjoining_requests_are_sequential_before_either_is_answered() -> None:
    """Read-ahead requests the next piece while the first is under way."""
    stream = Stream()
    stream.begin(7 * MIB, 128 * KIB)
    stream.begin(7 * MIB + 128 * KIB, 128 * KIB)

    assert stream.sequential is True


@given(st.permutations(range(8)), st.permutations(range(8)))
def test_order_does_not_matter_within_the_window(asked: list[int], answered: list[int]) -> None:
    """Eight requests at once, sent and answered in any order, are one stream without a jump."""
    stream = Stream()
    read(stream, 0, MIB)
    jumps = [stream.begin((1 + i) * MIB, MIB) for i in asked]
    for i in answered:
        stream.acknowledge((1 + i) * MIB, MIB)

    assert any(jumps) is False
    assert stream.position == 9 * MIB


@given(st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(1, MIB)), max_size=60))
def test_the_position_is_the_end_of_an_answer(requests: list[tuple[int, int]]) -> None:
    """It is never beyond the highest answer."""
    stream = Stream()
    ends = {0}
    for offset, most in requests:
        size = min(most, SIZE - offset)
        read(stream, offset, size)
        ends.add(offset + size)

        assert stream.position in ends


def test_a_gap_that_is_never_read_is_given_up() -> None:
    """The position of a reader that skips holes does not stay at the first hole."""
    stream = Stream()
    read(stream, 0, MIB)
    for i in range(40):
        read(stream, 2 * MIB + i * MIB, MIB)

    assert stream.position >= 40 * MIB - AHEAD


def test_many_small_gaps_are_given_up() -> None:
    """A reader with more gaps than many threads make is one that skips."""
    stream = Stream()
    read(stream, 0, 4096)
    for i in range(1, MOST_PIECES + 10):
        read(stream, i * 8192, 4096)

    assert stream.position > 4096
