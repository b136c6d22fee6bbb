"""A remote source is opened only by the process that becomes its producer."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from fanoutfs.control.messages import packed
from fanoutfs.copying.connector import find_source
from fanoutfs.engine import lock
from fanoutfs.engine.control_server import listen
from fanoutfs.engine.lock import socket_path
from fanoutfs.errors import FanoutError, SourceChangedError, UnusableError
from fanoutfs.mounting import start
from fanoutfs.remote.nbd_source import ExportedSource
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.resolve import resolve
from fanoutfs.settings import MountSettings, NetworkSettings, Settings, SourceSettings
from fanoutfs.status.document import as_plain
from tests.documents import document
from tests.limits import HANG_SECONDS

EXPORT = "nbd://node1/image"
SIZE = 12345


@pytest.fixture(autouse=True)
def _opening_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep locks and sockets apart from other tests', and have each attempt to open an export fail."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise UnusableError("opened")

    monkeypatch.setattr(lock, "runtime_folder", lambda: tmp_path)
    monkeypatch.setattr(ExportedSource, "open", refuse)


@pytest.fixture
def producer() -> Iterator[None]:
    """Run a producer of EXPORT that answers one request: with its status, or by refusing to mount."""
    status = document(source={"origin": "disk-8:16", "size": SIZE}, ring={"arcs": []})
    answer = {"type": "status", "status": as_plain(status)}
    listener = listen(socket_path(resolve(EXPORT, RemoteKeys()).identity))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            asked = b'"status"' in connection.recv(65536)
            connection.sendall(packed(answer if asked else {"type": "refused", "error": "mounted already"}))

    thread = threading.Thread(target=serve)
    thread.start()
    yield
    thread.join(HANG_SECONDS)
    listener.close()


def mount(point: Path) -> None:
    point.mkdir()
    start.mount(
        EXPORT,
        point,
        Settings(),
        MountSettings(),
        NetworkSettings(),
        keys=RemoteKeys(),
        log_path=None,
        foreground=True,
    )


@pytest.mark.usefixtures("producer")
def test_a_copy_that_joins_does_not_open_the_export() -> None:
    """The size and the origin come from the producer's status."""
    source, opened = find_source(EXPORT, RemoteKeys(), SourceSettings())
    assert (source.size, source.origin) == (SIZE, "disk-8:16")
    assert opened is None


@pytest.mark.usefixtures("producer")
def test_a_mount_that_joins_does_not_open_the_export(tmp_path: Path) -> None:
    """The producer is asked to mount its source."""
    with pytest.raises(FanoutError, match="mounted already"):
        mount(tmp_path / "mount")


def test_the_first_copy_and_the_first_mount_open_the_export(tmp_path: Path) -> None:
    """There is no producer to ask."""
    with pytest.raises(UnusableError, match="opened"):
        find_source(EXPORT, RemoteKeys(), SourceSettings())
    with pytest.raises(UnusableError, match="opened"):
        mount(tmp_path / "mount")


def test_a_file_that_is_replaced_before_it_is_opened_is_refused(tmp_path: Path) -> None:
    """The lock is on the file that was found first."""
    image, other = tmp_path / "image", tmp_path / "other"
    image.write_bytes(b"1" * SIZE)
    other.write_bytes(b"2" * SIZE)
    found = resolve(str(image), RemoteKeys())
    other.rename(image)
    with pytest.raises(SourceChangedError, match="was replaced by a different one"):
        found.open()
