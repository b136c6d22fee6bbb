"""Copies of what another computer shows: `fanoutfs copy http://node1:8400 TARGET`."""

import os
import re
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.mount.conftest import HostsFactory, PatternFactory, assert_copies, missing
from tests.rig.commands import FANOUTFS, Done, run, wait_until
from tests.rig.copies import BLOCK, SLOWLY, SMALL
from tests.rig.images import MIB, assert_same
from tests.rig.readers import hold
from tests.rig.services import statuses
from tests.rig.shown import Computers

pytestmark = pytest.mark.tool("nbdkit", "nbdfuse")

SIZE = 8 * MIB
PACKETS = 1.03  # what a connection adds to what it carries, greetings and status included
NOISE = 64 * 1024  # bytes: what is said where nothing is carried


def said(done: Done) -> str:
    """Return all that a command has said."""
    return (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("count", [1, 3])
def test_copies_that_are_verified(
    hosts: HostsFactory, computers: Computers, source: Path, work: Path, count: int
) -> None:
    """One or several targets, one pass over the link and the source; digests come from the other computer.

    The ring there holds several of a client's requests, which may come out of order.
    """
    one, two = hosts(2)
    first = computers.show(one, source, "--block", BLOCK, "--ring", 24 * BLOCK, "--patience", 60)
    targets = [work / f"target{number}" for number in range(count)]
    before = two.traffic()
    done = computers.finish(computers.copy(two, first.url, "--verify", *targets))

    for target in targets:
        assert_same(source, target)
        assert re.search(f"^{target}: .*verified in", said(done), re.MULTILINE)
    assert first.source_bytes() == SIZE
    assert SIZE <= two.traffic().since(before).received <= PACKETS * SIZE


def test_it_begins_at_the_head_and_goes_round(
    hosts: HostsFactory, computers: Computers, pattern_image: PatternFactory, work: Path
) -> None:
    """A copy that comes when half is read begins there, and the source is read one and a half times."""
    one, two = hosts(2)
    first = computers.show(one, pattern_image(2 * SIZE), *SLOWLY)
    held = hold(partial(computers.start, one), first.image, work / "here", SIZE)
    copy = computers.copy(two, first.url, work / "there")
    joined = computers.wait_for_copy(two, lambda reader: reader["kind"] == "copy", "it has joined")
    held.say_go()
    computers.finish(held.process)
    computers.finish(copy)

    assert SIZE <= joined["start"] < 2 * SIZE
    assert_copies(pattern_image(2 * SIZE), work / "here", work / "there")
    assert first.source_bytes() <= 2 * SIZE + joined["start"] + 8 * BLOCK


def test_a_second_copy_shares_the_link(
    hosts: HostsFactory, computers: Computers, pattern_image: PatternFactory, work: Path
) -> None:
    """One that is started on the same computer later joins the first one there, at its head."""
    one, two = hosts(2)
    first = computers.show(one, pattern_image(2 * SIZE), *SLOWLY)
    before = two.traffic()
    copies = [computers.copy(two, first.url, work / "first", *SMALL)]
    held = computers.hold(two, SIZE // 4)
    copies.append(computers.copy(two, first.url, work / "second"))
    second = computers.wait_for_copy(two, lambda reader: reader["start"] > 0, "the second has joined")
    assert 1 == len(statuses(two))
    os.kill(held, signal.SIGCONT)
    for copy in copies:
        computers.finish(copy)

    assert_copies(pattern_image(2 * SIZE), work / "first", work / "second")
    assert two.traffic().since(before).received <= PACKETS * (2 * SIZE + second["start"] + 4 * BLOCK)


def test_a_copy_killed_and_resumed(
    hosts: HostsFactory, computers: Computers, pattern_image: PatternFactory, work: Path
) -> None:
    """Only what is missing goes over the link: what is there is held against the other computer's digests."""
    one, two = hosts(2)
    first = computers.show(one, pattern_image(2 * SIZE), *SLOWLY)
    copy = computers.copy(two, first.url, work / "target")
    computers.hold(two, SIZE)
    copy.kill()
    copy.wait()
    wait_until(lambda: not two.processes(), "its worker, its producer and its link have ended")
    lacks = missing(pattern_image(2 * SIZE), work / "target")
    done = computers.finish(computers.copy(two, first.url, work / "target", "--resume", "--verify"))

    assert 0 < len(lacks) < 2 * SIZE // BLOCK
    assert_same(pattern_image(2 * SIZE), work / "target")
    assert "resumed in" in said(done)


def test_the_service_killed_and_there_again(
    hosts: HostsFactory, computers: Computers, source: Path, work: Path
) -> None:
    """The copy goes on where it was."""
    one, two = hosts(2)
    first = computers.show(one, source, *SLOWLY)
    copy = computers.copy(two, first.url, work / "target", *SMALL)
    held = computers.hold(two, SIZE // 4)
    first.kill()
    again = computers.show(one, source, *SLOWLY)
    os.kill(held, signal.SIGCONT)
    computers.finish(copy)

    assert_same(source, work / "target")
    assert 0 < again.source_bytes() < SIZE


def test_the_service_killed_for_good(
    hosts: HostsFactory, computers: Computers, source: Path, work: Path
) -> None:
    """The copy fails within the source's limit, says which link is lost, and nothing of it stays."""
    one, two = hosts(2)
    first = computers.show(one, source, *SLOWLY)
    copy = computers.copy(two, first.url, work / "target", *SMALL, "--source-timeout", 2)
    held = computers.hold(two, SIZE // 4)
    first.kill()
    os.kill(held, signal.SIGCONT)
    done = computers.finish(copy, code=1)

    assert re.search(rf"^{work}/target: FAILED: ", said(done), re.MULTILINE)
    assert missing(source, work / "target")
    wait_until(lambda: not two.processes(), "its producer and its link have ended")


@pytest.mark.parametrize(("change", "url"), [("size", None), ("image", None), ("image", "nbd://node1/image")])
def test_another_source_after_a_restart(
    hosts: HostsFactory, computers: Computers, source: Path, work: Path, change: str, url: str | None
) -> None:
    """It is never mixed with the first one: the copy fails and says that the source has changed."""
    one, two = hosts(2)
    other = work / "other"
    run("cp", "--sparse=never", source, other)
    if change == "size":
        run("truncate", "-s", SIZE // 2, other)
    first = computers.show(one, source, *SLOWLY)
    copy = computers.copy(two, url or first.url, work / "target", *SMALL)
    held = computers.hold(two, SIZE // 4)
    first.kill()
    computers.show(one, other, *SLOWLY)
    os.kill(held, signal.SIGCONT)
    done = computers.finish(copy, code=1)

    assert "has changed" in said(done)


def test_nobody_copies_without_the_token(
    hosts: HostsFactory, computers: Computers, source: Path, work: Path
) -> None:
    """It is refused in one line, and no target is made."""
    one, two = hosts(2)
    first = computers.show(one, source, *SMALL)
    wrong = work / "wrong"
    wrong.write_text("horse-battery-staple-correct")
    wrong.chmod(0o600)
    for words in ((), ("--token-file", wrong)):
        command = computers.start(
            two, *computers.plain_copy(first.url, *words, "--log", work / "log", work / "target")
        )
        done = computers.finish(command, code=1)
        assert 1 == done.stderr.count(b"\n")
        assert b"token" in done.stderr

    assert not (work / "target").exists()


def test_status_and_top_of_another_computer(hosts: HostsFactory, computers: Computers, source: Path) -> None:
    """`fanoutfs status URL` shows what it shows there."""
    one, two = hosts(2)
    first = computers.show(one, source, *SMALL)
    words = (FANOUTFS, "status", "--json", "--token-file", computers.token, first.url)
    done = computers.finish(computers.start(two, *words))

    assert f'"pid": {first.pid}'.encode() in done.stdout
