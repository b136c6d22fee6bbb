"""A cable is pulled for some seconds in the middle of copies between computers."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.mount.conftest import HostsFactory
from tests.rig.commands import wait_until
from tests.rig.copies import SLOWLY, SMALL
from tests.rig.images import MIB, assert_same
from tests.rig.shown import Computers

pytestmark = pytest.mark.tool("nbdkit", "nbdfuse", "nbdcopy")

SIZE = 12 * MIB


@pytest.mark.parametrize("cut", [3.0, pytest.param(30.0, marks=pytest.mark.soak)])
def test_the_cable_pulled_and_put_back(
    cut: float, hosts: HostsFactory, computers: Computers, source: Path, work: Path
) -> None:
    """A copy, an nbdcopy and the reader of a relay, each on a computer of its own, all end right.

    ``cut``: seconds; in three of them TCP has sent anew several times.
    """
    one, two, three, four = hosts(4)
    first = computers.show(one, source, *SLOWLY)
    relay = computers.show(four, first.export, *SMALL)
    ways = {"copy": computers.copy(two, first.url, "--verify", work / "copy", *SMALL)}
    # While it is stopped, none of the others can come farther than the rings of both computers.
    held = computers.hold(two, 1)
    ways["nbdcopy"] = computers.start(three, "nbdcopy", first.export, work / "nbdcopy")
    reads = ("dd", f"if={relay.image}", f"of={work / 'relay'}", "bs=1M", "status=none")
    ways["relay"] = computers.start(four, *reads)
    wait_until(lambda: relay.source_bytes() > 0, "the relay reads")
    wait_until(lambda: len(first.status()["readers"]) == len(ways), "all three read")
    one.unplug()
    os.kill(held, signal.SIGCONT)
    time.sleep(cut)
    ended = [way for way, process in ways.items() if process.poll() is not None]
    one.plug_in()
    for process in ways.values():
        computers.finish(process)

    assert [] == ended
    for way in ways:
        assert_same(source, work / way)
