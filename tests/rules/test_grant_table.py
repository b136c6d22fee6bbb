"""The sheet on which a producer tells a consumer where its blocks lie."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.digests.digest import DIGEST_SIZE
from fanoutfs.shm.grant_table import Grant, GrantTable

tickets = st.builds(
    Grant,
    slot=st.integers(0, 2**32 - 1),
    digest=st.binary(min_size=DIGEST_SIZE, max_size=DIGEST_SIZE),
)


@given(st.integers(1, 300), st.integers(0, 10_000), st.lists(tickets, min_size=1, max_size=300))
def test_the_other_side_reads_what_was_written(places: int, first: int, written: list[Grant]) -> None:
    """The last tickets, as many as there are places, are all there, wherever in a term they stand."""
    made = GrantTable.make(places)
    seen = GrantTable.see(os.dup(made.fd), places)
    try:
        for number, ticket in enumerate(written, first):
            made.write(number, ticket.slot, ticket.digest)

        numbers = range(first, first + len(written))[-places:]
        assert written[-places:] == [seen.read(number) for number in numbers]
        assert seen.term == 0
    finally:
        made.close()
        seen.close()


def test_the_end_of_a_term_is_seen_at_once() -> None:
    """It costs no ticket: what was written is still there, for whoever compares terms."""
    made = GrantTable.make(2)
    seen = GrantTable.see(os.dup(made.fd), 2)
    ticket = Grant(7, b"0123456789abcdef")
    made.write(0, ticket.slot, ticket.digest)
    made.write(1, ticket.slot, ticket.digest)

    made.next_term()
    made.next_term()

    assert (seen.term, seen.read(0), seen.read(1)) == (2, ticket, ticket)
    made.close()
    seen.close()


def test_the_other_side_cannot_write() -> None:
    """Python refuses, since the mapping is one for reading."""
    made = GrantTable.make(1)
    seen = GrantTable.see(os.dup(made.fd), 1)
    with pytest.raises(TypeError):
        seen.next_term()
    made.close()
    seen.close()
