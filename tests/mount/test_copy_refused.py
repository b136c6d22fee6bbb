"""Copies that are refused before a byte is written, for other reasons than those of test_copy_safety.py."""

import os
import signal
from pathlib import Path

import pytest

from tests.mount.conftest import NO_SOURCES, PatternFactory, assert_copies, no_source
from tests.rig.commands import FANOUTFS, Argument, run
from tests.rig.copies import BLOCK, SLOWLY, Copies
from tests.rig.images import MIB, assert_same
from tests.rig.refusals import assert_refused, assert_wrong_usage

SIZE = 8 * MIB
OLD = b"somebody's work"


@pytest.mark.parametrize("kind", NO_SOURCES)
def test_what_is_no_source(kind: str, copies: Copies, work: Path) -> None:
    """It is named in a line, and the target stays what it was."""
    source, target = no_source(kind, work), work / "target"
    target.write_bytes(OLD)
    assert_refused(copies.run(source, target, "--yes", code=None), source)

    assert OLD == target.read_bytes()
    assert 0 == copies.producers()


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--block", "1000"),
        ("--ring", "1M"),
        ("--ring", "much"),
        ("--read-rate", "0"),
        ("--patience", "-1"),
        ("--pace", "wild"),
        ("--no-such-option",),
    ],
    ids=" ".join,
)
def test_words_that_make_no_sense(
    words: tuple[Argument, ...], copies: Copies, source: Path, work: Path
) -> None:
    """Exit code 2, and nothing is made."""
    target = work / "target"
    targets = [target] if words else []
    done = copies.run(source, *targets, *words, code=None)

    assert_wrong_usage(done, *words[:1])
    assert not target.exists()
    assert 0 == copies.producers()


def test_what_another_copy_has_in_hand(
    copies: Copies, pattern_image: PatternFactory, backing: Path, device: Path, work: Path
) -> None:
    """Its targets are no targets of a second one, and no sources; its source is no target."""
    source, other, file = work / "source", pattern_image(SIZE), work / "file"
    source.write_bytes(other.read_bytes())
    copy = copies.start(source, file, device, *SLOWLY)
    held = [copies.hold(source, target, BLOCK) for target in (file, device)]
    # Started together, for each waits some seconds for the lock.
    clashing = [
        (copies.start(other, file), file),
        (copies.start(other, device), device),
        (copies.start(file, work / "new"), file),
        (copies.start(device, work / "new"), device),
        (copies.start(other, source), source),
    ]
    refused = [(copies.finish(process, code=None), name) for process, name in clashing]
    for pid in held:
        os.kill(pid, signal.SIGCONT)
    copies.finish(copy)

    for done, name in refused:
        *before, line = done.stderr.decode().splitlines()
        done.stderr = f"{line}\n".encode()
        assert_refused(done, name)
        assert all("joining at" in other or "waiting up to" in other for other in before)
    assert not (work / "new").exists()
    assert_copies(other, file, backing)


def test_one_refused_target_of_three(copies: Copies, source: Path, work: Path) -> None:
    """None of the others is written or made."""
    old, new = work / "old", work / "new"
    old.write_bytes(OLD)
    assert_refused(copies.run(source, old, work, new, code=None), work)

    assert OLD == old.read_bytes()
    assert not new.exists()


def test_help() -> None:
    """It says what the options do, and exits 0."""
    said = run(FANOUTFS, "copy", "--help").stdout.decode()
    assert all(option in said for option in ("--verify", "--resume", "--sparse", "--yes", "--dry-run"))


def test_a_log_that_cannot_be_written(small: Path, work: Path) -> None:
    """It is named, and the targets are not touched."""
    log, target = work / "no" / "log", work / "target"
    done = run(FANOUTFS, "copy", "--log", log, small, target, code=None)

    assert_refused(done, log)
    assert not target.exists()


def test_the_same_copy_twice(copies: Copies, small: Path, work: Path) -> None:
    """After the first is done its target is free, and written again."""
    target = work / "target"
    copies.run(small, target)
    target.write_bytes(OLD)
    copies.run(small, target)
    assert_same(small, target)


def test_a_dry_run(copies: Copies, small: Path, work: Path) -> None:
    """It says what would happen to each target, and writes, makes and starts nothing; it is refused alike."""
    old, new = work / "old", work / "new"
    old.write_bytes(OLD)
    said = copies.run(small, old, new, "--dry-run", "--verify").stdout.decode()
    assert_refused(copies.run(small, work, new, "--dry-run", code=None), work)

    assert f"{old}  15 B\n    would be overwritten with 1 MiB; then verified\n" in said
    assert f"{new}  new file\n    would be created with 1 MiB; then verified\n" in said
    assert OLD == old.read_bytes()
    assert not new.exists()
    assert 0 == copies.producers()
