"""When written data is flushed to the disk."""

from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.ranges import Range, joined
from fanoutfs.system.write_behind import LIMIT, START, WriteBehind
from fanoutfs.units import MIB

writes = st.lists(st.tuples(st.integers(0, 1 << 40), st.integers(1, 64 * MIB)), max_size=200)


def test_a_short_copy_is_left_to_the_flush() -> None:
    """It is less than the first piece: no flush begins, and no write waits."""
    assert WriteBehind().wrote(0, START - 1) == ([], [])


def test_flushing_begins_in_one_piece() -> None:
    """Adjoining blocks are one range."""
    behind = WriteBehind()
    steps = [behind.wrote(at, MIB) for at in range(0, START, MIB)]

    assert [([], [])] * (START // MIB - 1) + [([(0, START)], [])] == steps


def test_a_write_waits_for_as_much_as_it_wrote() -> None:
    """Once LIMIT bytes are unflushed, a write of a MiB waits for the oldest MiB alone."""
    behind = WriteBehind()
    for at in range(0, LIMIT, MIB):
        behind.wrote(at, MIB)

    assert [behind.wrote(LIMIT + at, MIB)[1] for at in range(0, 3 * MIB, MIB)] == [
        [(0, MIB)],
        [(MIB, MIB)],
        [(2 * MIB, MIB)],
    ]


@given(writes)
def test_little_is_left_to_be_flushed(wrote: list[Range]) -> None:
    """At most LIMIT after any write; writes wait only for ranges that were begun, once, oldest first."""
    behind = WriteBehind()
    begun: list[Range] = []
    waited: list[Range] = []
    for number, (offset, length) in enumerate(wrote):
        begin, wait = behind.wrote(offset, length)
        begun += begin
        waited += wait
        behind_it = _total(wrote[: number + 1]) - _total(waited)
        assert 0 <= behind_it <= LIMIT
        assert _total(waited) <= _total(begun) <= _total(wrote[: number + 1])
        assert _total(wrote[: number + 1]) - _total(begun) < START
    assert _begins(joined(begun), joined(wrote))
    assert _begins(joined(waited), joined(begun))


def _total(ranges: list[Range]) -> int:
    return sum(length for _, length in ranges)


def _begins(head: list[Range], whole: list[Range]) -> bool:
    """Return whether ``whole`` begins with ``head``, of which the last range may be cut."""
    if not head:
        return True
    *before, (offset, length) = head
    at, most = whole[len(before)]
    return before == whole[: len(before)] and offset == at and length <= most
