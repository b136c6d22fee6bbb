"""Sources that are files of other computers, and exports at sockets, by real servers on the loopback."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.resolve import resolve
from tests.mount.conftest import PatternFactory
from tests.pipes import read
from tests.rig.commands import end, fanoutfs, run, shell, start, wait_until
from tests.rig.file_servers import SshServer, ssh_server, web_server
from tests.rig.images import MIB, assert_same

SIZE = 3 * MIB

pytestmark = pytest.mark.tool("nbdfuse", "nbdkit", "nginx", "curl", "ssh", "qemu-nbd", "qemu-img", "xz")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, pattern_image: PatternFactory) -> Iterator[Path]:
    """Make a folder with an image as it lies, in a format, and compressed."""
    folder = tmp_path_factory.mktemp("files")
    run("cp", pattern_image(SIZE), folder / "raw disk")
    run("qemu-img", "convert", "-O", "qcow2", pattern_image(SIZE), folder / "qcow2")
    shell('xz -1 -c "$1" >"$2"', pattern_image(SIZE), folder / "xz")
    (folder / "page").write_text("<!DOCTYPE html><html></html>")
    yield folder
    run("rm", "-rf", folder)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, files: Path) -> Iterator[str]:
    """Serve the files by nginx."""
    with web_server(tmp_path_factory.mktemp("web") / "nginx", files) as address:
        yield address


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """Run sshd."""
    with ssh_server(tmp_path_factory.mktemp("ssh") / "sshd") as server:
        yield server


@pytest.mark.parametrize("name", ["qcow2", "xz", "moved/raw%20disk"])
def test_files_of_a_web_server_are_copied(web: str, source: Path, work: Path, name: str) -> None:
    """As they lie, in a format, or compressed; redirections are followed."""
    fanoutfs("copy", f"{web}/{name}", work / "one", work / "two")
    assert_same(source, work / "one")
    assert_same(source, work / "two")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("none", "error: 404; check the address"),
        ("page", "is an HTML page, which can't be read here"),
        ("whole/raw%20disk", "curl -L URL | fanoutfs copy - TARGET"),
        ("", "so it is not a fanoutfs service"),
    ],
)
def test_what_a_web_server_does_not_have(web: str, work: Path, name: str, why: str) -> None:
    """It is told in one line, and nothing is written."""
    done = fanoutfs("copy", f"{web}/{name}", work / "target", code=1)
    assert why in done.stderr.decode()
    assert done.stderr.count(b"\n") == 1
    assert not (work / "target").exists()


def test_a_file_on_the_web_that_is_replaced(web: str, files: Path) -> None:
    """It is never mixed with its successor: each request is for the file that was opened."""
    run("cp", files / "raw disk", files / "replaced")
    os.utime(files / "replaced", (10**9, 10**9))
    with closing(resolve(f"{web}/replaced", RemoteKeys()).open().source) as opened:
        read(opened, 0, MIB)
        os.utime(files / "replaced")
        with pytest.raises(OSError, match="error"):
            read(opened, MIB, MIB)


@pytest.mark.parametrize("name", ["raw disk", "qcow2", "xz"])
def test_files_behind_ssh_are_copied(
    ssh: SshServer, files: Path, source: Path, work: Path, name: str
) -> None:
    """By the user's key."""
    ssh.fanoutfs("copy", ssh.address(files / name).replace(" ", "%20"), work / "target")
    assert_same(source, work / "target")


def test_a_server_that_ssh_does_not_know_is_refused(ssh: SshServer, files: Path, work: Path) -> None:
    """Nothing is asked."""
    done = ssh.fanoutfs("copy", ssh.address(files / "qcow2"), work / "target", code=1, knows=False)
    assert "the host key is unknown" in done.stderr.decode()
    assert not (work / "target").exists()


@pytest.mark.parametrize(
    ("name", "prefix", "code"), [("raw disk", "", 0), ("qcow2", "", 1), ("qcow2", "raw:", 0)]
)
def test_an_export_at_a_socket(files: Path, work: Path, name: str, prefix: str, code: int) -> None:
    """It is a disk; one that begins as an image is copied only as it lies, if the user says so."""
    socket = work / "socket"
    server = start("qemu-nbd", "-r", "-f", "raw", "-k", socket, "-t", "-e", 2, files / name)
    try:
        wait_until(socket.exists, "qemu-nbd listens")
        fanoutfs("copy", f"{prefix}nbd+unix:///?socket={socket}", work / "target", code=code)
    finally:
        end(server)
    if code == 0:
        assert_same(files / name, work / "target")
    else:
        assert not (work / "target").exists()
