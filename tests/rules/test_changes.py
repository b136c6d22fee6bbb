"""What it means that a source has changed since it was opened."""

import pytest

from fanoutfs.source.changes import ChangeWatch, Stamp

OPENED = Stamp(1000, 5)


@pytest.mark.parametrize(
    ("now", "replaced", "strict", "trouble", "written"),
    [
        (OPENED, False, True, "", False),
        (Stamp(1000, 6), False, False, "", True),
        (Stamp(1000, 6), False, True, "the source was written to since it was opened", True),
        (
            Stamp(1001, 6),
            False,
            False,
            "the source has grown from 1000 to 1001 bytes since it was opened",
            False,
        ),
        # What was cut off can't be read, which says enough.
        (Stamp(999, 6), False, False, "", False),
        (Stamp(999, 6), False, True, "the source was written to since it was opened", False),
        (OPENED, True, False, "the source was replaced: a different file or disk is at its path", False),
    ],
)
def test_a_change_is_an_error_or_a_warning(
    now: Stamp, replaced: bool, strict: bool, trouble: str, written: bool
) -> None:
    """A different size or file is an error; a write is one with --strict-source."""
    watch = ChangeWatch(OPENED, strict)
    assert (watch.look(now, replaced=replaced), watch.was_written) == (trouble, written)


def test_a_source_that_was_replaced_stays_so() -> None:
    """Its path is looked at now and then, and may be gone by then."""
    watch = ChangeWatch(OPENED)
    trouble = watch.look(OPENED, replaced=True)
    assert trouble
    assert watch.look(OPENED) == trouble
    assert watch.look(Stamp(2000, 6)) == trouble


def test_a_source_that_has_its_size_again_is_read() -> None:
    """Who read it meanwhile had an error."""
    watch = ChangeWatch(OPENED)
    assert watch.look(Stamp(2000, 6))
    assert not watch.look(Stamp(1000, 7))
    assert not watch.was_written
