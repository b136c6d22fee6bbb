"""The supervisor of a link, with scripts in place of nbdfuse and nbdinfo; it runs in the test's process."""

import shlex
import socket
from pathlib import Path
from typing import Any

import pytest

from fanoutfs.remote import nbd_link
from fanoutfs.remote.address import ExportAddress
from fanoutfs.remote.link_commands import FILE, failure_reason, with_advice
from fanoutfs.remote.nbd_link import LinkSupervisor, _Link
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.system.child import Child
from fanoutfs.system.pipe import message_pipes
from tests.adapter.producers import wait_for
from tests.limits import HANG_SECONDS
from tests.rig.hanging import LIMIT

ADDRESS = ExportAddress("far", 10809, "image")
DESCRIBES = """echo '{"exports": [{"description": "fanoutfs disk-8:16"}]}'"""
REFUSES = "echo 'nbdinfo: nbd_connect_uri: recv: server disconnected unexpectedly' >&2; exit 1"
WAITS = "exec sleep 60"


@pytest.fixture
def connect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Connect once per script that stands for nbdinfo; return the replies."""

    def replies(*scripts: str, seconds: float = HANG_SECONDS) -> list[dict[str, Any]]:
        left = list(scripts)

        def nbdfuse(_address: object, _keys: object, point: Path, _certificates: object) -> list[str]:
            return ["sh", "-c", f"touch {shlex.quote(str(point / FILE))}; exec sleep 60"]

        def unmount(point: Path) -> None:
            (point / FILE).unlink(missing_ok=True)
            point.rmdir()

        monkeypatch.setattr(nbd_link, "nbdfuse_command", nbdfuse)
        monkeypatch.setattr(nbd_link, "nbdinfo_command", lambda *_: ["sh", "-c", left.pop(0)])
        monkeypatch.setattr(nbd_link, "unmount_link", unmount)
        monkeypatch.setattr(nbd_link, "runtime_folder", lambda: tmp_path)
        monkeypatch.setattr(nbd_link, "DESCRIBE_SECONDS", seconds)
        monkeypatch.setattr(nbd_link, "CONNECT_SECONDS", HANG_SECONDS)
        ours, supervisors = message_pipes()
        for _ in scripts:
            ours.send(connect=7)
        ours._socket.shutdown(socket.SHUT_WR)
        LinkSupervisor(ADDRESS, RemoteKeys(), described=True)(supervisors)
        found = [ours.receive(0) for _ in scripts]
        ours.close()
        supervisors.close()
        return found

    return replies


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "nbdfuse: nbd_connect_uri: connect: far:9: could not connect to remote host: Connection refused",
            "remote host: Connection refused; check the address, and whether the server runs",
        ),
        (
            "nbdfuse: nbd_connect_uri: handshake: server has no export named 'x': No such file or directory",
            "'x': No such file or directory; list the server's exports with nbdinfo --list",
        ),
        (
            "nbdfuse: nbd_connect_uri: handshake: server requires TLS encryption first",
            "encryption first; write nbds://, with --tls-psk FILE if the server has keys",
        ),
        (
            "nbdfuse: nbd_connect_uri: recv: server disconnected unexpectedly",
            "recv: server disconnected unexpectedly; the server may serve one client at a time and be in use",
        ),
        (
            "nbdkit: nbd[1]: error: nbd_connect_tcp: gnutls_handshake: certificate verification. (15/1)",
            "name its CA's with --tls-ca FILE",
        ),
        (
            "nbdkit: nbd[1]: error: nbd_connect_tcp: gnutls_handshake: non-properly terminated. (2/1)",
            "the server may want a key (--tls-psk FILE), a different key, or a certificate",
        ),
        (
            'nbdfuse: nbd_connect_uri: getaddrinfo: hostname "far": Name or service not known',
            "Name or service not known; check the host's name",
        ),
        (
            "nbdkit: ssh[1]: error: all possible authentication methods failed",
            "a key must be in its agent or in ~/.ssh, because no password is asked for here",
        ),
        (
            "nbdkit: curl[1]: error: problem doing HEAD request to fetch size of URL [a]: error: 404",
            "error: 404; check the address",
        ),
        (
            'qemu-nbd: Failed to get shared "write" lock',
            "a virtual machine uses it: stop that first, or copy a snapshot",
        ),
        ("nbdfuse: nbd_connect_uri: something new", "something new"),
    ],
)
def test_a_failure_is_told_with_a_remedy(said: str, told: str) -> None:
    """Without the names of the program and its functions."""
    found = with_advice(failure_reason([said]))
    assert found.endswith(told)
    assert "nbdfuse" not in found


@pytest.mark.tool("nbdfuse")
def test_a_server_that_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel accepts the connection for it; nbdfuse is ended after the limit."""
    monkeypatch.setattr(nbd_link, "runtime_folder", lambda: tmp_path)
    monkeypatch.setattr(nbd_link, "CONNECT_SECONDS", LIMIT)
    ours, supervisors = message_pipes()
    with socket.create_server(("127.0.0.1", 0)) as stopped:
        ours.send(connect=0)
        ours._socket.shutdown(socket.SHUT_WR)
        address = ExportAddress("127.0.0.1", stopped.getsockname()[1], "image")
        LinkSupervisor(address, RemoteKeys(), described=True)(supervisors)
    found = ours.receive(0)["error"]
    ours.close()
    supervisors.close()
    assert found.startswith(f"no connection within {LIMIT} seconds; check the address, and whether ")


def test_a_silent_connection_is_cut_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that takes its time to end, as nbdfuse does while a read waits, is killed."""
    ended, begun = tmp_path / "ended", tmp_path / "begun"
    program = f"trap 'sleep 1; touch {ended}; exit' TERM; touch {begun}; while :; do sleep 0.05; done"
    link = _Link(ADDRESS, RemoteKeys(), tmp_path, described=False)
    link._program = Child.start(["sh", "-c", program])
    wait_for(begun.exists)
    monkeypatch.setattr(nbd_link, "_Link", lambda *_: link)
    monkeypatch.setattr(nbd_link, "runtime_folder", lambda: tmp_path)
    ours, supervisors = message_pipes()
    ours.send(cut=True)
    ours._socket.shutdown(socket.SHUT_WR)
    LinkSupervisor(ADDRESS, RemoteKeys(), described=False)(supervisors)
    ours.close()
    supervisors.close()
    assert not ended.exists()


def test_an_export_is_described_at_each_connection(connect: Any) -> None:
    """So that a different source behind the same address is noticed."""
    assert [reply["description"] for reply in connect(DESCRIBES, DESCRIBES)] == ["fanoutfs disk-8:16"] * 2


@pytest.mark.parametrize(("answer", "seconds"), [(REFUSES, HANG_SECONDS), (WAITS, 0.01)])
def test_a_server_of_one_client_at_a_time_is_read(connect: Any, answer: str, seconds: float) -> None:
    """It refuses a second connection, or lets it wait: then the export has no description, now and later."""
    first, second = connect(answer, DESCRIBES, seconds=seconds)
    assert (first["description"], second["description"]) == ("", "")


def test_a_description_that_was_given_once_is_required(connect: Any) -> None:
    """A server that does not repeat it may have a different source; the connection is tried again."""
    described, refused = connect(DESCRIBES, REFUSES)
    assert described["description"] == "fanoutfs disk-8:16"
    assert refused == {"request": 7, "error": "recv: server disconnected unexpectedly"}


MAP = '[{"offset": 0, "length": 9, "type": 3}]'


@pytest.mark.parametrize(
    ("nbdinfo", "expected"),
    [(f"echo '{MAP}'", MAP), ("exit 1", ""), ("exec sleep 100", "")],
    ids=["lists", "refuses", "hangs"],
)
def test_the_holes_of_an_export(
    nbdinfo: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in a file, as nbdinfo lists them; none where it fails, or takes too long."""
    monkeypatch.setattr(nbd_link, "MAP_SECONDS", HANG_SECONDS if expected else 0.3)
    monkeypatch.setattr(nbd_link, "map_command", lambda *_: ["sh", "-c", nbdinfo])
    found = _Link(ADDRESS, RemoteKeys(), tmp_path, described=False).map()

    assert (Path(found).read_text().strip() if found else "") == expected


def test_a_server_of_one_client_is_not_asked_for_holes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would let the second connection wait."""
    monkeypatch.setattr(nbd_link, "run_within", lambda *_: pytest.fail("it is asked"))
    link = _Link(ADDRESS, RemoteKeys(), tmp_path, described=True)
    link._serves_one = True

    assert link.map() == ""
