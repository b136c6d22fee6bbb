"""Status documents from another computer, which may have any content."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fanoutfs.status.describe import describe
from fanoutfs.status.document import StatusDocument, as_plain
from fanoutfs.status.parse import parse_json
from fanoutfs.status.rates import Speeds
from fanoutfs.top.screen import Screen
from tests.documents import document, reader
from tests.letters import LETTERS

TEXTS = st.text(LETTERS, max_size=5)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def spoiled(draw: st.DrawFn, found: Any) -> Any:
    """Return a document with one part replaced or removed."""
    keys = (
        list(found) if isinstance(found, dict) else list(range(len(found))) if isinstance(found, list) else []
    )
    if not keys or draw(st.integers(0, 3)) == 0:
        return draw(ANYTHING)
    key = draw(st.sampled_from(keys))
    if isinstance(found, dict) and draw(st.integers(0, 3)) == 0:
        return {other: value for other, value in found.items() if other != key}
    made = found.copy()
    made[key] = spoiled(draw, found[key])
    return made


@st.composite
def documents(draw: st.DrawFn) -> Any:
    """Return a document of ours with one error."""
    shown = document(reader(1), reader(2, waiting=1, target="/dev/sdc"), reader(3, start=None))
    return spoiled(draw, as_plain(shown))


def show(shown: StatusDocument) -> str:
    """Show a document in all ways."""
    console = Console(width=180, height=40)
    with console.capture() as captured:
        console.print(Screen(shown, Speeds()))
    return describe(shown) + captured.get()


@given(documents())
def test_any_document_is_refused_or_can_be_shown(made: Any) -> None:
    """A document in which any part has any other value causes no traceback."""
    try:
        found = parse_json(json.dumps(made).encode())
    except ValueError:
        return
    show(found)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b"<html></html>"])
def test_a_text_that_is_no_document_is_refused(text: bytes) -> None:
    """With an error that says so."""
    with pytest.raises(ValueError, match=r"is not JSON|is not an object"):
        parse_json(text)


def test_a_document_of_ours_is_read() -> None:
    """Keys that this version does not know are ignored."""
    shown = document(reader(1))
    text = json.dumps({**as_plain(shown), "more": {"a": 1}}).encode()

    assert shown == parse_json(text)


def test_a_document_cannot_control_the_terminal() -> None:
    """Whatever names it has for paths and commands."""
    evil = "\x1b]0;evil\x07\n"
    shown = document(reader(1, command=evil), reader(2, target=evil), source={"path": evil})
    said = show(parse_json(json.dumps(as_plain(shown)).encode()))

    assert "evil" in said
    assert "\x1b]" not in said
    assert "\x07" not in said
