"""The table in which a producer writes for a consumer where its blocks lie."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.digests.digest import DIGEST_SIZE
from fanoutfs.shm.grant_table import Grant, GrantTable

grants = st.builds(
    Grant,
    slot=st.integers(0, 2**32 - 1),
    has_zeros=st.booleans(),
    digest=st.binary(min_size=DIGEST_SIZE, max_size=DIGEST_SIZE),
)


@given(st.integers(1, 300), st.integers(0, 10_000), st.lists(grants, min_size=1, max_size=300))
def test_the_other_side_reads_what_was_written(places: int, first: int, written: list[Grant]) -> None:
    """The last grants, as many as the table has places, are all there, wherever in an epoch they are."""
    made = GrantTable.create(places)
    seen = GrantTable.attach(os.dup(made.fd), places)
    try:
        for number, grant in enumerate(written, first):
            made.write(number, grant)

        numbers = range(first, first + len(written))[-places:]
        assert written[-places:] == [seen.read(number) for number in numbers]
        assert seen.epoch == 0
    finally:
        made.close()
        seen.close()


def test_the_end_of_an_epoch_is_seen_at_once() -> None:
    """The grants are still there: the consumer compares epochs."""
    made = GrantTable.create(2)
    seen = GrantTable.attach(os.dup(made.fd), 2)
    grant = Grant(7, has_zeros=True, digest=b"0123456789abcdef")
    made.write(0, grant)
    made.write(1, grant)

    made.next_epoch()
    made.next_epoch()

    assert (seen.epoch, seen.read(0), seen.read(1)) == (2, grant, grant)
    made.close()
    seen.close()


def test_the_other_side_cannot_write() -> None:
    """Python refuses: the mapping is read-only."""
    made = GrantTable.create(1)
    seen = GrantTable.attach(os.dup(made.fd), 1)
    with pytest.raises(TypeError):
        seen.next_epoch()
    made.close()
    seen.close()
