"""Who becomes the producer of a source: one of all who want to, however they come and end."""

import contextlib
import errno
import os
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fanoutfs.control.client import ControlConnection
from fanoutfs.copying.connector import NamedSource, ProducerConnector
from fanoutfs.copying.copy_command import hold_producer
from fanoutfs.engine import find, lock
from fanoutfs.engine.control_server import BACKLOG, listen
from fanoutfs.engine.find import claim_or_find, connect
from fanoutfs.engine.lock import ProducerLock, identities, socket_name, socket_path
from fanoutfs.engine.query import ask_status
from fanoutfs.errors import UnusableError
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.settings import Settings
from fanoutfs.system.abstract_socket import listen_abstract
from tests.limits import HANG_SECONDS
from tests.rig.forbidden import forbidden


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep locks and sockets where they are nobody else's."""
    monkeypatch.setattr(lock, "runtime_folder", lambda: tmp_path)
    monkeypatch.setattr(lock, "NAMES", uuid.uuid4().hex)
    return tmp_path


@pytest.fixture
def claimed() -> Iterator[ProducerLock]:
    """Lock a source."""
    taken = ProducerLock.take_nowait("source")
    assert taken is not None
    yield taken
    taken.release()


HOLDS = """
import os, sys
from pathlib import Path
from fanoutfs.engine import lock
lock.runtime_folder = lambda: Path(sys.argv[1])
lock.NAMES = sys.argv[3]
taken = lock.ProducerLock.take_nowait("source")
if sys.argv[2] == "forks" and os.fork():
    os._exit(0)
print(taken is not None, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holder(folder: Path, how: str) -> Iterator[subprocess.Popen[bytes]]:
    """Let another process claim the source; it releases the claim when its input ends."""
    command = [sys.executable, "-c", HOLDS, str(folder), how, lock.NAMES]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"True\n"
        yield process
        process.stdin.close()


def test_one_has_it_until_it_lets_go() -> None:
    """Another source is nobody's; the same one is had again, and again."""
    for _ in range(3):
        taken = ProducerLock.take_nowait("source")
        assert taken is not None
        assert ProducerLock.take_nowait("source") is None
        other = ProducerLock.take_nowait("other")
        assert other is not None
        other.release()
        taken.release()


def test_the_file_names_the_process(folder: Path) -> None:
    """Messages refer to it, because nobody but root sees a producer's descriptors."""
    lock = ProducerLock.take_nowait("source")
    assert lock is not None
    lock.release()

    assert f"{os.getpid()}\n" == (folder / "source.lock").read_text()


def test_whoever_had_it_was_killed(folder: Path) -> None:
    """The next one has it at once: nothing has to be cleared, and no age be guessed."""
    with holder(folder, "alone") as process:
        assert ProducerLock.take_nowait("source") is None
        process.kill()
        process.wait(HANG_SECONDS)
        taken = ProducerLock.take_nowait("source")

    assert taken is not None
    taken.release()


def test_whoever_had_it_forked_and_ended(folder: Path) -> None:
    """The child has it, too: so a daemon keeps what the command has claimed for it."""
    with holder(folder, "forks") as process:
        process.wait(HANG_SECONDS)
        assert ProducerLock.take_nowait("source") is None

    found = claim_or_find("source", "/dev/x")
    assert isinstance(found, ProducerLock)
    found.release()


def test_many_want_it_at_once(folder: Path) -> None:
    """One has the claim; when its control socket is open all the others connect, without being told."""
    connections = threading.Semaphore(0)
    listeners = []

    def come(_: int) -> str:
        found = claim_or_find("source", "/dev/x")
        if isinstance(found, ControlConnection):
            found.close()
            connections.release()
            return "connects"
        listeners.append(listen(socket_path("source")))
        for _ in range(29):
            assert connections.acquire(timeout=HANG_SECONDS)
        found.release()
        return "produces"

    with ThreadPoolExecutor(30) as pool:
        came = sorted(pool.map(come, range(30)))
    for listener in listeners:
        listener.close()

    assert came == ["connects"] * 29 + ["produces"]


def test_a_socket_that_a_killed_producer_has_left(folder: Path) -> None:
    """No producer listens there: the claim is free, and the next producer opens a new socket."""
    listen(socket_path("source")).close()
    assert socket_path("source").is_socket()
    assert (connect("source"), ask_status("source")) == (None, None)

    found = claim_or_find("source", "/dev/x")
    assert isinstance(found, ProducerLock)
    listener = listen(socket_path("source"))
    connection = connect("source")

    assert connection is not None
    connection.close()
    listener.close()
    found.release()


def test_a_producer_that_is_mute(
    claimed: ProducerLock, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the claim and does not listen: it is waited for, but not for ever, and named."""
    monkeypatch.setattr(find, "PATIENCE_SECONDS", 0.05)
    with pytest.raises(UnusableError, match=r"/dev/x has a producer .* its process is in .*source\.lock"):
        claim_or_find("source", "/dev/x")


def test_a_producer_that_hangs_up_on_who_asks(folder: Path) -> None:
    """It is about to end: there is no status."""
    listener = listen(socket_path("source"))

    def hang_up() -> None:
        client, _ = listener.accept()
        client.close()

    ends = threading.Thread(target=hang_up)
    ends.start()
    assert ask_status("source") is None
    ends.join()
    listener.close()


def test_the_folder_is_emptied(claimed: ProducerLock, folder: Path, tmp_path: Path) -> None:
    """Who comes then, or has a different folder, does not get the source, and finds its producer."""
    listeners = [listen(socket_path("source")), listen_abstract(socket_name("source"), BACKLOG)]
    for path in folder.iterdir():
        path.unlink()

    assert ProducerLock.take_nowait("source") is None
    found = claim_or_find("source", "/dev/x")
    assert isinstance(found, ControlConnection)
    assert os.getpid() == found.peer
    assert "source" in identities()
    found.close()
    for listener in filter(None, listeners):
        listener.close()


@pytest.mark.parametrize("listens", [True, False], ids=["and listen there", "and do nothing"])
def test_names_that_another_user_has_taken(listens: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """They hinder nobody: the folder decides."""
    names = [socket_name("source"), socket_name("source").replace(lock.CONTROL, lock.LOCK)]
    taken = [socket.socket(socket.AF_UNIX) for _ in names]
    for one, name in zip(taken, names, strict=True):
        one.bind(f"\0{name}")
        if listens:
            one.listen()
    monkeypatch.setattr("fanoutfs.engine.find.peer_user", lambda _socket: os.getuid() + 1)
    monkeypatch.setattr("fanoutfs.system.abstract_socket.peer_user", lambda _socket: os.getuid() + 1)

    found = claim_or_find("source", "/dev/x")
    assert isinstance(found, ProducerLock)
    assert ProducerLock.take_nowait("source") is None
    found.release()
    for one in taken:
        one.close()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_folder_without_locks(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The abstract socket alone is the lock."""
    monkeypatch.setattr("fcntl.flock", forbidden(number))
    taken = ProducerLock.take_nowait("source")
    assert taken is not None
    assert ProducerLock.take_nowait("source") is None
    taken.release()


def test_a_lock_that_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names it."""
    monkeypatch.setattr("fcntl.flock", forbidden(errno.EPERM))
    with pytest.raises(UnusableError, match=r"source\.lock can't be taken: operation not permitted; "):
        ProducerLock.take_nowait("source")


def test_a_link_in_place_of_the_lock(folder: Path) -> None:
    """It is not followed: it may lead anywhere."""
    (folder / "source.lock").symlink_to(folder / "elsewhere")
    with pytest.raises(UnusableError, match=r"lock .*source\.lock can't be made: .*symbolic links"):
        ProducerLock.take_nowait("source")
    assert not (folder / "elsewhere").exists()


def test_a_producer_hangs_up_on_everyone(
    folder: Path, claimed: ProducerLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command connects again for a while, then it ends with an error that names the process."""
    monkeypatch.setattr(find, "HANG_UP_SECONDS", 0.05)
    source = NamedSource("/dev/x", "source", None, 1)
    connector = ProducerConnector(source, RemoteKeys(), Settings(), None)
    listener = listen(socket_path("source"))

    def hang_up() -> None:
        with contextlib.suppress(OSError):
            while True:
                listener.accept()[0].close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    try:
        with pytest.raises(
            UnusableError, match=rf"\(process {os.getpid()}\) hangs up .*: kill {os.getpid()}"
        ):
            hold_producer(connector, source, None)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(HANG_SECONDS)
