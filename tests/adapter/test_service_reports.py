"""Reports to a service manager: not before the mount answers, again when one was lost, and at the end."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from fanoutfs.control.client import ControlConnection
from fanoutfs.mounting.service_reports import REPORT_SECONDS, report, report_joined, status_line
from fanoutfs.status.document import StatusDocument
from fanoutfs.system.service_manager import ServiceManager, find_service_manager
from tests.documents import document, reader


@attrs.define(eq=False)
class ServedMount:
    """What the reports need of an engine."""

    mounted: trio.Event = attrs.field(factory=trio.Event)
    end_requested: trio.Event = attrs.field(factory=trio.Event)

    def status(self) -> StatusDocument:
        return document()


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    """Be the service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(0)
        yield listening


def find(listening: socket.socket, **more: str) -> ServiceManager:
    manager = find_service_manager({"NOTIFY_SOCKET": os.fsdecode(listening.getsockname()), **more})
    assert manager is not None
    return manager


def received(listening: socket.socket) -> list[list[str]]:
    """Return what has come, without the lines about the state."""
    reports: list[list[str]] = []
    while True:
        try:
            lines = listening.recv(4096).decode().split("\n")
        except BlockingIOError:
            return reports
        reports.append([line for line in lines if not line.startswith("STATUS=")])


async def test_a_mount_is_reported(heard: socket.socket, autojump_clock: MockClock) -> None:
    """Nothing before it answers; then that it is ready, once; signs of life; a requested end."""
    engine = ServedMount()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(report, find(heard), engine)
        await trio.sleep(2 * REPORT_SECONDS)
        before = received(heard)
        engine.mounted.set()
        await trio.sleep(1.5 * REPORT_SECONDS)
        serving = received(heard)
        engine.end_requested.set()
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert before == []
    assert serving == [["READY=1", "WATCHDOG=1"], ["WATCHDOG=1"]]
    assert received(heard) == [["STOPPING=1"]]


async def test_a_mount_that_is_unmounted(heard: socket.socket, autojump_clock: MockClock) -> None:
    """Its end is reported, too."""
    engine = ServedMount()
    engine.mounted.set()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(report, find(heard), engine)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert [["READY=1", "WATCHDOG=1"], ["STOPPING=1"]] == received(heard)


async def test_a_mount_that_fails(heard: socket.socket, autojump_clock: MockClock) -> None:
    """Nothing is reported: the exit code says enough."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(report, find(heard), ServedMount())
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()

    assert received(heard) == []


async def test_a_fast_watchdog(heard: socket.socket, autojump_clock: MockClock) -> None:
    """It gets three signs of life in its time."""
    engine = ServedMount()
    engine.mounted.set()
    manager = find(heard, WATCHDOG_USEC="3000000", WATCHDOG_PID=str(os.getpid()))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(report, manager, engine)
        await trio.sleep(2.5)
        assert received(heard) == [["READY=1", "WATCHDOG=1"], ["WATCHDOG=1"], ["WATCHDOG=1"]]
        nursery.cancel_scope.cancel()


async def test_a_manager_that_is_not_there_yet(tmp_path: Path, autojump_clock: MockClock) -> None:
    """What could not be sent is sent again: without READY=1 the service would be taken for hanging."""
    engine = ServedMount()
    engine.mounted.set()
    manager = find_service_manager({"NOTIFY_SOCKET": str(tmp_path / "late")})
    assert manager is not None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(report, manager, engine)
        await wait_all_tasks_blocked()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as late:
            late.bind(str(tmp_path / "late"))
            late.settimeout(0)
            await trio.sleep(1)
            assert received(late)[0] == ["READY=1", "WATCHDOG=1"]
        nursery.cancel_scope.cancel()


def test_a_mount_that_a_different_process_serves(heard: socket.socket) -> None:
    """It is reported by the command, until the producer says that it has ended."""
    ours, producers = socket.socketpair()
    with producers, ours:
        producers.sendall(b"x")
        report_joined(find(heard), ControlConnection(ours))

    assert received(heard) == [["READY=1", "WATCHDOG=1"], ["STOPPING=1"]]


ABSTRACT = "\0fanoutfs-test-notify-{}"


def test_an_abstract_socket() -> None:
    """A name that begins with @ has no file."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(ABSTRACT.format(os.getpid()))
        environ = {"NOTIFY_SOCKET": f"@{ABSTRACT.format(os.getpid())[1:]}"}
        manager = find_service_manager(environ)
        assert manager is not None
        with manager:
            assert manager.send("READY=1")
        assert listening.recv(100) == b"READY=1"


OURS = str(os.getpid())


@pytest.mark.parametrize(
    ("environ", "watchdog"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": OURS}, 120.0),
        ({"WATCHDOG_USEC": "120000000"}, 120.0),
        ({"WATCHDOG_USEC": "120000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0", "WATCHDOG_PID": OURS}, None),
        ({"WATCHDOG_USEC": "soon", "WATCHDOG_PID": OURS}, None),
    ],
)
def test_a_watchdog(environ: dict[str, str], watchdog: float | None) -> None:
    """It is meant for the process that it names; programs started from here see none of it."""
    environ = {**environ, "NOTIFY_SOCKET": "/run/notify", "PATH": "/bin"}
    manager = find_service_manager(environ)
    assert manager is not None
    with manager:
        assert manager.watchdog == watchdog
    assert environ == {"PATH": "/bin"}


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "relative"])
def test_no_manager(address: str | None) -> None:
    """Without a socket that can be used, nobody is told anything."""
    environ = {} if address is None else {"NOTIFY_SOCKET": address}
    assert find_service_manager(environ) is None


@pytest.mark.parametrize(
    ("readers", "said"),
    [
        (0, "/dev/sdb on /mnt/fan: 0 readers, 500 MiB, 0.50 times the image"),
        (1, "/dev/sdb on /mnt/fan: 1 reader, 500 MiB, 0.50 times the image"),
    ],
)
def test_the_line_for_systemctl(readers: int, said: str) -> None:
    """Source, mount point, readers, and how much was read."""
    assert said == status_line(document(*[reader()] * readers, mountpoint="/mnt/fan"))
