from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.ring.stream import AHEAD, BEHIND, MOST_PIECES, Stream
from fanoutfs.units import KIB, MIB

SIZE = 1024 * MIB


def read(stream: Stream, offset: int, size: int) -> bool:
    jumped = stream.begin(offset, size)
    stream.acknowledge(offset, size)
    return jumped


def test_a_first_read_at_0_counts_at_once() -> None:
    """Who begins at the beginning goes on: dd, cp, cat."""
    stream = Stream()

    assert read(stream, 0, 512) is True
    assert stream.sequential is True


def test_a_first_read_elsewhere_counts_from_the_second() -> None:
    """One probe says nothing; a read that adjoins it says that it goes on."""
    stream = Stream()
    read(stream, 5 * MIB, 4096)

    assert stream.sequential is False

    read(stream, 5 * MIB + 4096, 4096)

    assert stream.sequential is True


def test_a_jump_moves_the_position_and_ends_the_counting() -> None:
    """A reader that jumps paces nobody, until it reads on from where it jumped to."""
    stream = Stream()
    read(stream, 0, MIB)

    jumped = read(stream, 500 * MIB, 4096)

    assert (jumped, stream.position, stream.sequential) == (True, 500 * MIB + 4096, False)


def test_a_probe_of_the_end_finishes_but_does_not_count() -> None:
    """tail -c reads the last bytes; that is no reading of the image."""
    stream = Stream()
    read(stream, SIZE - 4096, 4096)

    assert (stream.position, stream.sequential) == (SIZE, False)


def test_adjoining_requests_count_before_either_is_answered() -> None:
    """Read-ahead asks for the next piece while the first is still on its way."""
    stream = Stream()
    stream.begin(7 * MIB, 128 * KIB)
    stream.begin(7 * MIB + 128 * KIB, 128 * KIB)

    assert stream.sequential is True


@given(st.permutations(range(8)), st.permutations(range(8)))
def test_order_does_not_matter_within_the_window(asked: list[int], answered: list[int]) -> None:
    """Eight requests at once, asked and answered in any order, are one stream without a jump."""
    stream = Stream()
    read(stream, 0, MIB)
    jumps = [stream.begin((1 + i) * MIB, MIB) for i in asked]
    for i in answered:
        stream.acknowledge((1 + i) * MIB, MIB)

    assert any(jumps) is False
    assert stream.position == 9 * MIB


@given(st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(1, MIB)), max_size=60))
def test_the_position_is_never_past_what_was_had_but_for_given_up_gaps(
    requests: list[tuple[int, int]],
) -> None:
    """The position is always the end of something answered, never beyond the highest answer."""
    stream = Stream()
    ends = {0}
    for offset, most in requests:
        size = min(most, SIZE - offset)
        read(stream, offset, size)
        ends.add(offset + size)

        assert stream.position in ends


def test_a_gap_that_is_never_read_is_given_up() -> None:
    """A reader that skips holes does not hold its place at the first of them for ever."""
    stream = Stream()
    read(stream, 0, MIB)
    for i in range(40):
        read(stream, 2 * MIB + i * MIB, MIB)

    assert stream.position >= 40 * MIB - AHEAD


def test_many_small_gaps_are_given_up() -> None:
    """More gaps than a stream of many threads has are a reader that skips."""
    stream = Stream()
    read(stream, 0, 4096)
    for i in range(1, MOST_PIECES + 10):
        read(stream, i * 8192, 4096)

    assert stream.position > 4096


def test_a_late_piece_just_behind_is_no_jump() -> None:
    """A page read again, or a request overtaken by others, leaves the stream as it is."""
    stream = Stream()
    read(stream, 0, 40 * MIB)

    jumped = read(stream, 40 * MIB - BEHIND, 4096)

    assert (jumped, stream.position, stream.sequential) == (False, 40 * MIB, True)
