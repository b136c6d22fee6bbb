"""The status document as a mount shows it."""

import json

import attrs
import pytest

from fanoutfs.engine.snapshot import render
from fanoutfs.status.document import ReaderEntry, StatusDocument
from tests.documents import document, reader

NASTY = '/dev/"readers": [], \n é \\'


@pytest.mark.parametrize(
    "shown",
    [
        document(),
        document(reader(1)),
        document(
            reader(1, waiting=2, sweep_in=1.5), reader(2, target=NASTY, start=None), source={"path": NASTY}
        ),
    ],
    ids=["no reader", "one reader", "strings that look like JSON"],
)
def test_the_text_is_that_of_json_with_indent(shown: StatusDocument) -> None:
    """A faster encoder writes the readers, to the same text."""
    assert json.dumps(attrs.asdict(shown), indent=1).encode() + b"\n" == render(shown)


def test_the_entry_of_a_reader_is_flat() -> None:
    """The faster encoder relies on that."""
    entry = attrs.asdict(reader(1))
    assert {field.name for field in attrs.fields(ReaderEntry)} == entry.keys()
    assert not any(isinstance(value, dict | list | tuple) for value in entry.values())
