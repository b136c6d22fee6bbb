"""The monitor service of a real mount, asked with curl while real programs read."""

import itertools
import json
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fanoutfs.web.feed import PER_SECOND
from tests.mount.conftest import MountFactory, PatternFactory
from tests.rig.commands import fanoutfs, finish, run, shell, wait_until
from tests.rig.images import MIB
from tests.rig.readers import Spawn, dd, hold
from tests.rig.web import Web, knock, token_file

pytestmark = pytest.mark.tool("curl")

SIZE = 16 * MIB
TOKEN = "correct-horse-battery"


def sample(text: bytes, name: str) -> float:
    """Return the only value of a metric."""
    families = text_string_to_metric_families(text.decode())
    (value,) = [found.value for family in families for found in family.samples if found.name == name]
    return value


def test_it_shows_what_the_mount_shows(mount: MountFactory, source: Path, spawn: Spawn, work: Path) -> None:
    """One document, in the mount and from the service."""
    web = Web()
    mounted = mount(source, *web.listen)
    held = hold(spawn, mounted.image, work / "copy", 2 * MIB)
    wait_until(lambda: mounted.status() == web.status(), "both show that it is held")
    held.say_go()
    held.finish()


@pytest.mark.tool("promtool")
def test_prometheus_reads_its_metrics(mount: MountFactory, source: Path, work: Path) -> None:
    """Its own tool has nothing to say; what was delivered stays counted when the reader has left."""
    web = Web()
    mounted = mount(source, *web.listen)
    for number in range(2):
        run(*dd(mounted.image, work / f"copy{number}"))
    delivered = "fanoutfs_delivered_bytes_total"
    wait_until(lambda: sample(web.get("/metrics"), delivered) >= 2 * SIZE, "all is counted")
    wait_until(mounted.is_idle, "the readers have left")
    checked = shell('curl -sf "$1/metrics" | promtool check metrics', web.url)

    assert (b"", b"") == (checked.stdout, checked.stderr)
    assert sample(web.get("/metrics"), delivered) >= 2 * SIZE
    assert sample(web.get("/metrics"), "fanoutfs_source_read_bytes_total") >= SIZE


def test_mount_prints_the_address_of_the_page(small: Path, point: Path, tmp_path: Path) -> None:
    """Without the token."""
    path = token_file(tmp_path, TOKEN)
    web = Web()
    options = ("--listen", f"127.0.0.1:{web.port}", "--token-file", path, "--log", tmp_path / "log")
    done = fanoutfs("mount", *options, small, point)
    try:
        assert done.stdout == f"Monitoring page: http://127.0.0.1:{web.port}/\n".encode()
        assert 200 == web.code("/status", "-H", f"Authorization: Bearer {TOKEN}")
    finally:
        fanoutfs("umount", point)


def test_without_the_token_nobody_sees_anything(mount: MountFactory, source: Path, tmp_path: Path) -> None:
    """Nor with a wrong one, under another host name, or by tricks with the path."""
    web = Web()
    mount(source, *web.listen, "--token-file", token_file(tmp_path, TOKEN))
    right, wrong = ("-H", f"Authorization: Bearer {TOKEN}"), ("-H", f"Authorization: Bearer {TOKEN}x")

    assert 200 == web.code("/status", *right)
    for path in ("/status", "/events", "/metrics", "/nothing"):
        assert [401, 401] == [web.code(path), web.code(path, *wrong)]
        assert 421 == web.code(path, *right, "-H", "Host: evil.example")
    for path in ("//..%2f", "/..%2f..%2f..%2fetc/passwd", "/../../etc/passwd", "/%2e%2e/", "/status/"):
        assert 404 == web.code(path, *right)


def test_five_hundred_clients_do_not_stop_a_copy(
    mount: MountFactory, pattern_image: PatternFactory, work: Path, spawn: Spawn
) -> None:
    """The bound keeps most of them out; some that take nothing are no harm, and the end waits for none."""
    image = pattern_image(2 * SIZE)
    web = Web()
    mounted = mount(image, *web.listen, "--read-rate", "32M")
    copying = spawn(*dd(mounted.image, work / "copy"))
    with ExitStack() as stack:
        waiting = web.crowd(120, stack)
        answers = [client.recv(12, socket.MSG_WAITALL) for client in waiting]
        knock(web.port, 380, stack)
        finish(copying)
        run("cmp", image, work / "copy")
        assert {b"HTTP/1.1 200": 100, b"HTTP/1.1 503": 20} == {
            answer: answers.count(answer) for answer in set(answers)
        }
        mounted.unmount()
        wait_until(lambda: not mounted.is_mounted(), "it is unmounted")


def test_it_is_there_again_after_a_restart(mount: MountFactory, source: Path) -> None:
    """At the same address, at once, with clients of the one before still connected."""
    web = Web()
    with ExitStack() as stack:
        first = mount(source, *web.listen)
        web.crowd(3, stack)
        first.unmount()
        second = mount(source, *web.listen)
        assert second.pid == web.status()["pid"]


def test_events_go_on_while_somebody_reads(
    mount: MountFactory, pattern_image: PatternFactory, work: Path, spawn: Spawn
) -> None:
    """At most five in a second, each the document of its time."""
    web, size = Web(), SIZE
    mounted = mount(pattern_image(size), *web.listen, "--read-rate", "16M")
    began = time.monotonic()
    listening = spawn("curl", "-sN", f"{web.url}/events")
    assert listening.stdout is not None
    heard = (json.loads(line[6:]) for line in listening.stdout if line.startswith(b"data: "))
    read = [next(heard)["source"]["bytes_read"]]
    copying = spawn(*dd(mounted.image, work / "copy"))
    read.extend(
        itertools.takewhile(lambda count: count < size, (one["source"]["bytes_read"] for one in heard))
    )
    took = time.monotonic() - began
    finish(copying)

    assert len(read) <= PER_SECOND * took + 1
    assert read == sorted(read)
    assert 0 == read[0] < read[-1]
