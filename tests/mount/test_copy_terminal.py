"""`fanoutfs copy` on a terminal: the question, the bars, and what stands there at the end."""

import os
import shlex
import signal
from pathlib import Path

import pytest

from tests.mount.conftest import LoopFactory, assert_copies
from tests.rig.commands import finish, run, start
from tests.rig.copies import BLOCK, SLOWLY, SMALL, Copies
from tests.rig.images import MIB, assert_same
from tests.rig.terminal import terminal

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"

SIZE = 8 * MIB
OLD = b"somebody's work" * 1000
QUESTION = "type yes: "


@pytest.fixture
def backing(work: Path) -> Path:
    """Make the file behind ``old``: bytes that somebody needs, which neither udev nor blkid can name."""
    path = work / "backing"
    path.write_bytes(OLD + bytes(SIZE - len(OLD)))
    return path


@pytest.fixture
def old(device: Path) -> Path:
    """Return a disk that is not blank."""
    return device


def is_unchanged(old: Path) -> bool:
    """Return whether the disk has what it had."""
    return old.read_bytes() == OLD + bytes(SIZE - len(OLD))


@pytest.mark.tool("losetup")
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
    assert is_unchanged(old)
    assert not (work / "new").exists()
    assert 0 == copies.producers()


@pytest.mark.tool("lsblk")
def test_the_question_is_answered_with_yes(
    copies: Copies, source: Path, loop: LoopFactory, old: Path, backing: Path, work: Path
) -> None:
    """The disks that are not blank are shown before; blank ones and files are not."""
    blank, file = work / "blank", work / "file"
    blank.write_bytes(bytes(SIZE))
    file.write_bytes(OLD)
    empty_disk = loop(blank)
    with terminal(*copies.command(source, old, empty_disk, file, *SMALL)) as shown:
        shown.wait_for(QUESTION)
        asked = shown.text
        shown.type("yes\n")
        shown.finish(code=0)

    assert f"{old}  8 MiB" in asked
    assert f"overwrite this disk with {source}, 8 MiB? type yes: " in asked
    assert str(empty_disk) not in asked
    assert str(file) not in asked
    assert_copies(source, backing, blank, file)


@pytest.mark.tool("losetup")
def test_the_answer_is_given_with_the_command(copies: Copies, source: Path, old: Path, backing: Path) -> None:
    """With --yes nothing is asked."""
    with terminal(*copies.command(source, old, "--yes")) as shown:
        shown.finish(code=0)

    assert "type" not in shown.text
    assert_same(source, backing)


@pytest.mark.tool("losetup", "blkid", "mkfs.ext4")
def test_without_a_terminal_a_disk_needs_yes(
    copies: Copies, source: Path, loop: LoopFactory, backing: Path, work: Path
) -> None:
    """The line names what is on the disk, also where udev has recorded nothing; a file needs no consent."""
    file = work / "file"
    backing.write_bytes(bytes(2 * SIZE))
    run("mkfs.ext4", "-q", "-L", "PHOTOS", backing)
    disk, before = loop(backing), backing.read_bytes()
    file.write_bytes(OLD)

    done = finish(copies.keep(start("setsid", *copies.command(source, disk, work / "new"))), code=1)
    finish(copies.keep(start("setsid", *copies.command(source, file))))

    assert (
        f"fanoutfs: the target {disk} is not blank (ext4 “PHOTOS”), and there is no terminal to ask on; "
        "to overwrite it, add --yes\n"
    ) == done.stderr.decode()
    assert before == disk.read_bytes()
    assert not (work / "new").exists()
    assert_same(source, file)


@pytest.mark.tool("losetup")
@pytest.mark.parametrize("elsewhere", ["stdout", "stderr"])
def test_the_question_when_output_goes_elsewhere(
    elsewhere: str, copies: Copies, source: Path, old: Path, backing: Path, work: Path
) -> None:
    """The question appears on the terminal in any case."""
    output = work / "output"
    redirection = f"{'2' if elsewhere == 'stderr' else ''}>{shlex.quote(str(output))}"
    command = shlex.join(map(str, copies.command(source, old)))
    with terminal("sh", "-c", f"exec {command} {redirection}") as shown:
        shown.wait_for(QUESTION)
        shown.type("yes\n")
        shown.finish(code=0)

    assert output.read_text().startswith(f"{old}: 8 MiB copied in " if elsewhere == "stdout" else "")
    assert_same(source, backing)


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
