"""Computers joined by a network: the harness itself, and the monitor service seen from a different host."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.mount.conftest import HostsFactory
from tests.rig.commands import FANOUTFS, end, has_ended, run, start, wait_until
from tests.rig.hosts import hosts as made_hosts
from tests.rig.images import MIB
from tests.rig.mounts import Mount
from tests.rig.readers import HANGS
from tests.rig.web import token_file

pytestmark = pytest.mark.hosts

SIZE = 4 * MIB
TOKEN = "correct-horse-battery"
CODE = ("curl", "-s", "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}")


def test_they_know_one_another_by_name(hosts: HostsFactory) -> None:
    """Each has its own name and address."""
    one, two, three = hosts(3)

    assert [b"node1\n", b"node2\n", b"node3\n"] == [
        run(*host.on("hostname")).stdout for host in (one, two, three)
    ]
    for host in (two, three):
        assert [one.address, one.name] == run(*host.on("getent", "hosts", "node1")).stdout.decode().split()


def test_what_is_mounted_on_one_is_not_on_the_others(hosts: HostsFactory, tmp_path: Path) -> None:
    """Nor outside: and /run is each one's own."""
    one, two = hosts(2)
    run(*one.on("touch", "/run/here"))
    run(*one.on("mount", "-t", "tmpfs", "tmpfs", tmp_path))
    run(*one.on("touch", tmp_path / "here"))

    for path in (Path("/run/here"), tmp_path / "here"):
        assert [True, False, False] == [one.seen(path).exists(), two.seen(path).exists(), path.exists()]


def test_what_was_mounted_before_ends_without_them(hosts: HostsFactory, mounted: Mount) -> None:
    """A host has no copy of a mount that would keep its daemon alive."""
    (one,) = hosts(1)

    assert [] == one.mounts()
    mounted.unmount()
    wait_until(lambda: has_ended(mounted.pid), "its daemon has ended")


def test_its_traffic_is_counted(hosts: HostsFactory) -> None:
    """By the kernel, both ways, with a header or two, and now and then a packet that is sent again."""
    one, two = hosts(2)
    server = start(*one.on("nbdkit", "--foreground", "--readonly", "pattern", SIZE))
    wait_until(
        lambda: run(*two.on("nbdinfo", "--size", "nbd://node1"), code=None).returncode == 0, "it serves"
    )
    before = one.traffic(), two.traffic()
    run(*two.on("nbdcopy", "nbd://node1", "null:"))
    there, here = one.traffic().since(before[0]), two.traffic().since(before[1])
    end(server)

    for data, answers in ((here.received, here.sent), (there.sent, there.received)):
        assert SIZE <= data <= SIZE + MIB // 4
        assert 0 < answers <= MIB // 4


def test_a_cable_that_is_pulled_and_put_back(hosts: HostsFactory) -> None:
    """Nothing comes through meanwhile; what waited goes on afterwards."""
    one, two = hosts(2)
    server = start(*one.on("nbdkit", "--foreground", "--readonly", "pattern", SIZE))
    ask = two.on("nbdinfo", "--size", "nbd://node1")
    wait_until(lambda: run(*ask, code=None).returncode == 0, "it serves")
    two.unplug()
    asking = start(*ask)
    with pytest.raises(subprocess.TimeoutExpired):
        asking.wait(0.5)
    two.plug_in()
    answer, _ = asking.communicate(timeout=60)
    end(server)

    assert SIZE == int(answer)


def test_nothing_stays_of_them() -> None:
    """A program that runs on, and ignores that it is asked to end, goes with its host."""
    deaf = ("sh", "-c", 'trap "" TERM HUP INT; while :; do sleep 1; done')
    with made_hosts(1) as (one,):
        left = start(*one.on(*deaf))
        wait_until(lambda: "sleep 1" in one.processes().values(), "it runs there, and is deaf")
        holder = one.pid
    code = left.wait(HANGS)
    end(left)

    assert -9 == code
    assert not Path(f"/proc/{holder}").exists()


@pytest.mark.tool("curl")
def test_the_monitor_of_another_computer(hosts: HostsFactory, source: Path, tmp_path: Path) -> None:
    """It is seen with the token, by name and by address, and by nobody without."""
    one, two = hosts(2)
    token, point = token_file(tmp_path, TOKEN), tmp_path / "mnt"
    point.mkdir()
    words = ("--listen", "0.0.0.0:8400", "--token-file", token, "--log", tmp_path / "log")
    run(*one.on(FANOUTFS, "mount", *words, source, point))
    right, wrong = f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {TOKEN}x"
    url = "http://node1:8400/status"
    seen = json.loads(run(*two.on("curl", "-sf", "-H", right, url)).stdout)
    codes = [
        run(*two.on(*CODE, *words)).stdout.decode()
        for words in (
            (url,),
            ("-H", wrong, url),
            ("-H", right, f"http://{one.address}:8400/status"),
            ("-H", right, "-H", "Host: evil.example", url),
        )
    ]
    mine = json.loads(run(*one.on(FANOUTFS, "status", "--json", point)).stdout)
    run(*one.on(FANOUTFS, "umount", point))

    assert ["401", "401", "200", "421"] == codes
    assert (mine["pid"], SIZE) == (seen["pid"], seen["source"]["size"])
