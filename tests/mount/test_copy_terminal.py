"""`fanoutfs copy` on a terminal: the question, the bars, and what stands there at the end."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.mount.conftest import assert_copies
from tests.rig.copies import BLOCK, SLOWLY, SMALL, Copies
from tests.rig.images import MIB, assert_same
from tests.rig.terminal import terminal

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"

SIZE = 8 * MIB
OLD = b"somebody's work" * 1000
QUESTION = "type yes: "


@pytest.fixture
def old(work: Path) -> Path:
    """Make a file that somebody needs."""
    path = work / "old"
    path.write_bytes(OLD)
    return path


@pytest.mark.parametrize(("typed", "code"), [("no\n", 1), ("y\n", 1), ("\x03", 130), ("\x04", 130)])
def test_the_question_is_not_answered_with_yes(
    typed: str, code: int, copies: Copies, source: Path, old: Path, work: Path
) -> None:
    """Nothing is written or made, and no producer started; Control-C and the end of input are no yes."""
    with terminal(*copies.command(source, old, work / "new")) as shown:
        shown.wait_for(QUESTION)
        shown.type(typed)
        lines = shown.finish(code=code)

    if code == 1:
        assert "fanoutfs: nothing was written; to copy without the question, add --yes" == lines[-1]
    assert "Traceback" not in shown.text
    assert OLD == old.read_bytes()
    assert not (work / "new").exists()
    assert 0 == copies.producers()


@pytest.mark.tool("lsblk")
def test_the_question_is_answered_with_yes(
    copies: Copies, source: Path, backing: Path, device: Path, old: Path, work: Path
) -> None:
    """What will be lost is shown before, a disk with what is on it; files that are new are not."""
    new = work / "new"
    with terminal(*copies.command(source, old, device, new, *SMALL)) as shown:
        shown.wait_for(QUESTION)
        asked = shown.text
        shown.type("yes\n")
        shown.finish(code=0)

    assert f"{old}  14.65 KiB" in asked
    assert f"{device}  8 MiB" in asked
    assert "overwrite all 2 of these targets with an image of 8 MiB? type yes: " in asked
    assert str(new) not in asked
    assert_copies(source, old, backing, new)


def test_the_answer_is_given_with_the_command(copies: Copies, source: Path, old: Path) -> None:
    """With --yes nothing is asked."""
    with terminal(*copies.command(source, old, "--yes")) as shown:
        shown.finish(code=0)

    assert "type" not in shown.text
    assert_same(source, old)


def test_nobody_is_there_to_be_asked(copies: Copies, source: Path, old: Path) -> None:
    """Without a terminal nothing is asked, as scripts want it."""
    copies.run(source, old)
    assert_same(source, old)


def test_the_question_when_stdout_goes_elsewhere(copies: Copies, source: Path, old: Path) -> None:
    """It is asked where it is seen, on the terminal."""
    with terminal(*copies.command(source, old), stdout=subprocess.PIPE) as shown:
        shown.wait_for(QUESTION)
        shown.type("yes\n")
        shown.finish(code=0)
        assert shown.process.stdout is not None
        said = shown.process.stdout.read().decode()

    assert said.startswith(f"{old}: 8 MiB copied in ")
    assert_same(source, old)


def test_the_bars(copies: Copies, source: Path, work: Path) -> None:
    """They are drawn while the copies go on; in the end the lines of the targets stand there alone."""
    targets = [work / "one", work / "two"]
    with terminal(*copies.command(source, *targets, *SLOWLY, "--verify")) as shown:
        copies.keep(shown.process)
        held = copies.hold(source, targets[0], BLOCK)
        for target in targets:
            shown.wait_for(f"{target.name} copying ")
        os.kill(held, signal.SIGCONT)
        lines = shown.finish(code=0)

    assert "\x1b[" in shown.text
    assert [*map(str, targets), "fanoutfs"] == [line.partition(": ")[0] for line in lines]
    assert all(", verified in " in line for line in lines[:2])
    assert lines[2].startswith("fanoutfs: 2 of 2 copies are good; ")
    assert lines[2].endswith(" in total")


@pytest.mark.parametrize("option", ["--no-progress", "TERM=dumb"])
def test_no_bars(option: str, copies: Copies, source: Path, work: Path) -> None:
    """Where nobody wants them, or the terminal can't, there is the final line alone."""
    command = copies.command(source, work / "target", *SLOWLY)
    with terminal(*(["env", option, *command] if "=" in option else [*command, option])) as shown:
        lines = shown.finish(code=0)

    assert "\x1b" not in shown.text
    assert 1 == len(lines)
    assert lines[0].startswith(f"{work}/target: 8 MiB copied in ")


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal(by: signal.Signals, copies: Copies, source: Path, work: Path) -> None:
    """The bars go, the cursor is back, and it is said how far the copy was and how it is finished."""
    target = work / "target"
    with terminal(*copies.command(source, target, *SLOWLY)) as shown:
        copies.keep(shown.process)
        copies.hold(source, target, 2 * MIB)
        if by is signal.SIGINT:
            shown.type("\x03")
        else:
            os.kill(shown.command_pid(), by)
        lines = shown.finish(code=128 + by)

    assert shown.text.rfind(HIDE_CURSOR) < shown.text.rfind(SHOW_CURSOR)
    assert f"{target}: NOT FINISHED: stopped at " in lines[-2]
    assert "fanoutfs: to finish the others, run the same command again with --resume" == lines[-1]
    assert bytes(BLOCK) == target.read_bytes()[:BLOCK]
