"""Options that make no sense: exit 2, nothing mounted."""

from pathlib import Path

import pytest

from tests.mount.conftest import PatternFactory, Refused
from tests.rig import mountinfo
from tests.rig.commands import fanoutfs
from tests.rig.images import MIB
from tests.rig.refusals import assert_wrong_usage


@pytest.mark.parametrize(
    ("options", "mention"),
    [
        ("--ring 1M --block 1M", "--ring"),
        ("--ring 1535K --block 1M", "--ring"),
        ("--ring 0", "--ring"),
        ("--ring -4M", "--ring"),
        ("--ring lots", "--ring"),
        ("--ring 4Q", "--ring"),
        ("--ring M", "--ring"),
        ("--ring 1e6", "--ring"),
        ("--block 0", "--block"),
        ("--block 1000", "--block"),
        ("--block nonsense", "--block"),
        ("--patience -1", "--patience"),
        ("--patience nan", "--patience"),
        ("--patience soon", "--patience"),
        ("--read-rate 0", "--read-rate"),
        ("--read-rate -1M", "--read-rate"),
        ("--read-rate fast", "--read-rate"),
        ("--read-rate 1.5M", "--read-rate"),
        ("--read-rate inf", "--read-rate"),
        ("--pace sometimes", "--pace"),
        ("--no-such-option", "--no-such-option"),
    ],
)
def test_an_option_that_makes_no_sense(
    options: str, mention: str, pattern_image: PatternFactory, point: Path
) -> None:
    """A value that cannot be is wrong usage, and the message names the option."""
    done = fanoutfs("mount", *options.split(), pattern_image(4 * MIB), point, code=None)
    assert mountinfo.at(point) == []
    assert_wrong_usage(done, mention)


@pytest.mark.parametrize("words", ["", "mount", "copy", "umount", "nonsense", "mount one"])
def test_a_command_that_lacks_its_words(words: str) -> None:
    """A command without what it needs is wrong usage."""
    done = fanoutfs(*words.split(), code=None)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_a_log_that_cant_be_written(small: Path, refused: Refused) -> None:
    """A log file that cannot be written is named, in one line, and nothing is mounted."""
    message = refused("--log", "/nonexistent/log", small)
    assert "/nonexistent/log" in message
    assert 1 == message.count("\n")
