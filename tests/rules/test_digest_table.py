"""The digests of an image, and the journal that followers read."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.digests.digest import DIGEST_SIZE
from fanoutfs.digests.digest_table import BEGIN, DigestTable, Entered, parse_line

BLOCKS = 5
DIGESTS = st.sampled_from([bytes([letter]) * DIGEST_SIZE for letter in b"\x00ab"])
ENTRIES = st.lists(st.tuples(st.integers(0, BLOCKS - 1), st.none() | DIGESTS), max_size=60)

A, B = b"a" * DIGEST_SIZE, b"b" * DIGEST_SIZE


def read(text: bytes) -> dict[int, bytes | None]:
    """Return the digests in some lines."""
    return dict(map(parse_line, text.splitlines()))


def all_known(table: DigestTable) -> dict[int, bytes]:
    digests = {block: table.get(block) for block in range(BLOCKS)}
    return {block: digest for block, digest in digests.items() if digest is not None}


@given(ENTRIES, st.lists(st.integers(0, 4), max_size=60))
def test_a_follower_gets_every_digest(entries: list[tuple[int, bytes | None]], pieces: list[int]) -> None:
    """Whether it follows from the first entry on, in pieces of any size, or reads at the end."""
    table, place, known = DigestTable(BLOCKS), BEGIN, dict[int, bytes | None]()
    for (block, digest), most in zip(entries, pieces, strict=False):
        table.enter(block, digest)
        text, place = table.lines(place, most)
        known |= read(text)
    text, place = table.lines(place, 1000)
    known |= read(text)

    assert all_known(table) == {block: digest for block, digest in known.items() if digest is not None}
    assert known == read(table.lines(BEGIN, 1000)[0])
    assert b"" == table.lines(place, 1000)[0]


@given(ENTRIES)
def test_a_digest_once_known_stays(entries: list[tuple[int, bytes | None]]) -> None:
    """A block has the last one entered, even if it can't be read later."""
    table, expected = DigestTable(BLOCKS), dict[int, bytes]()
    for block, digest in entries:
        had = expected.get(block)
        entered = table.enter(block, digest)
        if digest is not None:
            expected[block] = digest
            assert (entered is Entered.CHANGED) == (had is not None and had != digest)

    assert expected == all_known(table)


@given(ENTRIES)
def test_the_journal_is_bounded(entries: list[tuple[int, bytes | None]]) -> None:
    """However often blocks change, it has at most two entries for each block."""
    table = DigestTable(BLOCKS)
    for block, digest in entries:
        table.enter(block, digest)

    assert table.lines(BEGIN, 1000)[0].count(b"\n") <= 2 * BLOCKS


def test_lines_come_in_the_order_of_the_news() -> None:
    """A known digest is no news; a bad block is, once, and again when it could be read after all."""
    table = DigestTable(BLOCKS)
    said = [table.enter(*entry) for entry in [(3, A), (0, None), (3, A), (0, None), (0, B), (0, None)]]

    assert said == [Entered.NEWS] * 2 + [Entered.NOTHING] * 2 + [Entered.NEWS, Entered.NOTHING]
    assert f"3 {A.hex()}\n0 {B.hex()}\n0 {B.hex()}\n".encode() == table.lines(BEGIN, 10)[0]


def test_a_follower_of_a_replaced_journal_gets_all_digests_again() -> None:
    """It misses none that came when the journal was replaced."""
    table = DigestTable(2)
    places = []
    for digest in (A, B, A, B, A, B):
        table.enter(1, digest)
        places.append(table.lines(BEGIN, 100)[1])
    table.enter(0, A)

    assert {1, 2, 3, 4} <= {place[1] for place in places}
    assert {number for number, _ in places} == {0, 1}
    assert all(later > before for before, later in pairwise(places))
    assert [{0: A, 1: B}, {0: A}] == [read(table.lines(place, 100)[0]) for place in (places[0], places[-1])]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"1",
        b"1 ",
        b"-1 -",
        b" 1 -",
        b"x -",
        b"1 --",
        b"1 - ",
        b"1  " + b"0" * 31,
        b"1 " + b"0" * 31,
        b"1 " + b"0" * 33,
        b"1 " + b"0 " * 16,
        b"1 " + b"g" * 32,
        b"1 " + b"\xff" * 32,
        b"\xb2 " + b"0" * 32,
        b"9" * 5000 + b" -",
        b"<html>",
    ],
)
def test_an_invalid_line_is_refused(line: bytes) -> None:
    """No part of it counts as a digest."""
    with pytest.raises(ValueError, match=re.compile("it|hexadecimal|codec")):
        parse_line(line)
