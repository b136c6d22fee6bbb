"""A mount of what another computer shows: the second producer is fed by the first."""

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.mount.conftest import HostsFactory, assert_copies
from tests.rig.commands import has_ended, run, wait_until
from tests.rig.copies import BLOCK, SLOWLY, SMALL
from tests.rig.images import MIB, assert_same
from tests.rig.readers import dd, hold
from tests.rig.shown import Computers

pytestmark = pytest.mark.tool("nbdkit", "nbdfuse")

SIZE = 8 * MIB
PACKETS = 1.03  # what a connection adds to what it carries, greetings and status included


def test_readers_behind_a_relay_cost_the_link_one_pass(
    hosts: HostsFactory, computers: Computers, source: Path, work: Path
) -> None:
    """Two at once and one that comes later, whose beginning the relay still has."""
    one, two = hosts(2)
    first = computers.show(one, source, *SLOWLY)
    before = two.traffic()
    relay = computers.show(two, first.export, "--block", "256K")
    targets = [work / name for name in ("at-once", "with-it", "late")]
    readers = [computers.start(two, *dd(relay.image, target)) for target in targets[:2]]
    relay.wait_for_head(SIZE // 2)
    readers.append(computers.start(two, *dd(relay.image, targets[2])))
    for reader in readers:
        computers.finish(reader)

    assert_copies(source, *targets)
    assert SIZE <= two.traffic().since(before).received <= PACKETS * SIZE
    assert SIZE == relay.source_bytes() == first.source_bytes()


def test_a_chain_of_three(hosts: HostsFactory, computers: Computers, source: Path, work: Path) -> None:
    """Each link carries one pass, for readers and copies at every place of it."""
    one, two, three = hosts(3)
    first = computers.show(one, source, *SLOWLY)
    second = computers.show(two, first.url, *SMALL, "--upstream-token-file", computers.token)
    third = computers.show(three, second.url, *SMALL, "--upstream-token-file", computers.token)
    before = [host.traffic() for host in (one, three)]
    shown = (first, second, third)
    targets = [work / mount.host.name for mount in shown]
    # All have begun before any goes on, so that none of them finds its first block gone.
    readers = [
        hold(partial(computers.start, mount.host), mount.image, target, BLOCK)
        for mount, target in zip(shown, targets, strict=True)
    ]
    for reader in readers:
        reader.say_go()
    for reader in readers:
        reader.finish()
    sent = one.traffic().since(before[0]).sent
    came = three.traffic().since(before[1]).received

    assert_copies(source, *targets)
    assert [SIZE] * 3 == [mount.source_bytes() for mount in shown]
    for carried in (sent, came):
        assert carried <= PACKETS * SIZE


def test_a_relay_that_is_killed(hosts: HostsFactory, computers: Computers, source: Path, work: Path) -> None:
    """Who reads there gets an error; another relay, and who reads where it is mounted first, go on."""
    one, two, three = hosts(3)
    first = computers.show(one, source, *SLOWLY)
    killed, sibling = (computers.show(host, first.export, *SMALL) for host in (two, three))
    places = {"first": first, "sibling": sibling}
    readers = {
        name: computers.start(mount.host, *dd(mount.image, work / name)) for name, mount in places.items()
    }
    held = hold(partial(computers.start, two), killed.image, work / "killed", SIZE // 4)
    killed.kill()
    held.say_go()
    failed = held.finish(code=1)
    for reader in readers.values():
        computers.finish(reader)

    # EIO, or what a torn-down mount says: an OSError or a kind of it.
    assert b"Error: [Errno " in failed.stderr
    assert (work / "killed").stat().st_size < SIZE
    for name in readers:
        assert_same(source, work / name)
    wait_until(lambda: not two.processes(), "its supervisor and its link have ended")


def test_a_relay_killed_and_there_again(
    hosts: HostsFactory, computers: Computers, source: Path, work: Path
) -> None:
    """A relay behind it, and its readers, go on where they were."""
    one, two, three = hosts(3)
    first = computers.show(one, source, *SLOWLY)
    second = computers.show(two, first.export, *SMALL)
    third = computers.show(three, second.export, *SMALL)
    third.expected.append("the link to .* is lost")
    reader = hold(partial(computers.start, three), third.image, work / "copy", SIZE // 4)
    second.kill()
    again = computers.show(two, first.export, *SMALL)
    reader.say_go()
    reader.finish()

    assert_same(source, work / "copy")
    assert 0 < again.source_bytes() < SIZE
    assert SIZE == third.source_bytes()


def test_its_keeper_killed(hosts: HostsFactory, computers: Computers, source: Path, work: Path) -> None:
    """What links the relay to the first computer is started anew or its readers are told."""
    one, two = hosts(2)
    first = computers.show(one, source, *SLOWLY)
    relay = computers.show(two, first.export, *SMALL)
    relay.expected.append("the link to .* is lost")
    reader = hold(partial(computers.start, two), relay.image, work / "copy", SIZE // 4)
    (link,) = [pid for pid, words in two.processes().items() if words.startswith("nbdfuse ")]
    os.kill(link, signal.SIGKILL)
    wait_until(lambda: has_ended(link), "the link is gone")
    reader.say_go()
    reader.finish()

    assert_same(source, work / "copy")
    run(*two.on("test", "-r", relay.image))
