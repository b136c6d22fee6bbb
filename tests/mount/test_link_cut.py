"""A cable is pulled for five seconds in the middle of copies between computers."""

import time
from pathlib import Path

import pytest

from tests.mount.conftest import HostsFactory, PatternFactory
from tests.mount.support.commands import wait_until
from tests.mount.support.images import MIB, assert_same
from tests.mount.support.shown import Computers

pytestmark = [
    pytest.mark.mount,
    pytest.mark.hosts,
    pytest.mark.tool("nbdkit", "nbdfuse", "nbdcopy"),
]

SIZE = 16 * MIB
CUT = 5.0  # seconds
SMALL = ("--block", "256K", "--ring", "4M")
SLOWLY = (*SMALL, "--read-rate", 8 * MIB)


def test_the_cable_pulled_and_put_back(
    hosts: HostsFactory, computers: Computers, pattern_image: PatternFactory, work: Path
) -> None:
    """A copy, an nbdcopy and the reader of a relay, each on a computer of its own, all end right."""
    one, two, three, four = hosts(4)
    first = computers.show(one, pattern_image(SIZE), *SLOWLY)
    relay = computers.show(four, first.export, *SMALL)
    ways = {
        "copy": computers.copy(two, first.url, "--verify", work / "copy", *SMALL),
        "nbdcopy": computers.start(three, "nbdcopy", first.export, work / "nbdcopy"),
        "relay": computers.start(
            four, "dd", f"if={relay.image}", f"of={work / 'relay'}", "bs=1M", "status=none"
        ),
    }
    computers.wait_for_copy(two, lambda reader: reader["delivered"] >= SIZE // 8, "it copies")
    wait_until(lambda: relay.source_bytes() >= SIZE // 8, "the relay reads")
    one.unplug()
    time.sleep(CUT)
    ended = [way for way, process in ways.items() if process.poll() is not None]
    one.plug_in()
    for process in ways.values():
        computers.finish(process, timeout=45)

    assert [] == ended
    for way in ways:
        assert_same(pattern_image(SIZE), work / way)
