"""An NBD client whose computer is gone without a word."""

from pathlib import Path

import pytest

from tests.mount.conftest import HostsFactory
from tests.rig.commands import finish, wait_until
from tests.rig.images import MIB, assert_same
from tests.rig.shown import Computers

pytestmark = pytest.mark.tool("nbdkit", "nbdcopy")

SIZE = 16 * MIB
PATIENCE = 1
OPTIONS = ("--block", "256K", "--ring", "4M", "--read-rate", 8 * MIB, "--patience", PATIENCE)


def test_a_client_that_is_gone_without_a_word_holds_nobody_for_long(
    hosts: HostsFactory, computers: Computers, source: Path, work: Path
) -> None:
    """A local reader goes on after the patience; the mount can go when the end of the client is known."""
    one, two = hosts(2)
    shown = computers.show(one, source, *OPTIONS)
    client = computers.start(two, "nbdcopy", shown.export, work / "elsewhere")
    computers.wait_for_copy(one, lambda reader: reader["delivered"] > 0, "it is read")
    two.unplug()
    wait_until(lambda: not shown.status()["readers"][0]["live"], "it is dormant")
    finish(computers.start(one, "dd", f"if={shown.image}", f"of={work / 'here'}", "bs=1M", "status=none"))
    (left,) = shown.status()["readers"]
    client.kill()
    finish(client, code=None)
    two.plug_in()
    wait_until(lambda: shown.status()["readers"] == [], "the client's end is known")

    assert_same(source, work / "here")
    assert ("nbdkit", False) == (left["command"], left["live"])
