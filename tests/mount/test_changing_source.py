"""Sources that change while they are read: an error or a warning, never a copy of two images."""

import os
from pathlib import Path

from tests.rig.copies import BLOCK, SLOWLY, Copies, lines
from tests.rig.images import MIB, write_pattern

SIZE = 16 * MIB


def test_a_source_that_grows_while_it_is_copied(copies: Copies, work: Path) -> None:
    """All copies fail with the reason, and their first block stays empty."""
    source, targets = write_pattern(work / "source", SIZE), [work / "a", work / "b"]
    copies.expected.append("the source can't be read")
    copy = copies.start(source, *targets, *SLOWLY)
    copies.worker(source, targets[0], 2 * MIB)
    os.truncate(source, SIZE + 1)
    said = lines(copies.finish(copy, code=1))

    for target in targets:
        assert said[str(target)].startswith("FAILED")
        assert f"the source has grown from {SIZE} to {SIZE + 1} bytes" in said[str(target)]
        assert not any(target.read_bytes()[:BLOCK])


def test_a_source_that_is_written_while_it_is_copied(copies: Copies, work: Path) -> None:
    """The copy goes on; the log and the status tell it."""
    source, target = write_pattern(work / "source", SIZE), work / "target"
    copies.expected.append("changes while it is read: it was written to since it was opened")
    copy = copies.start(source, target, *SLOWLY)
    copies.worker(source, target, 2 * MIB)
    os.utime(source, (1, 1))
    copies.wait_for(source, lambda status: bool(status["source"]["written"]), "the status tells the change")
    copies.finish(copy)


def test_a_strict_copy_ends_when_its_source_is_written(copies: Copies, work: Path) -> None:
    """With --strict-source it is an error."""
    source, target = write_pattern(work / "source", SIZE), work / "target"
    copies.expected += ["the source can't be read", "changes while it is read"]
    copy = copies.start(source, target, "--strict-source", *SLOWLY)
    copies.worker(source, target, 2 * MIB)
    os.utime(source, (1, 1))
    said = lines(copies.finish(copy, code=1))

    assert "the source was written to since it was opened" in said[str(target)]
