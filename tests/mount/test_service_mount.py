"""A mount that a service manager has started."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rig import mountinfo
from tests.rig.commands import FANOUTFS, Process, finish, run
from tests.rig.images import MIB, assert_same

SIZE = MIB

ANSWER = 60.0  # seconds, only a bound on a hang


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Be the service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(ANSWER)
        yield listening


def test_the_manager_is_told(
    manager: socket.socket, source: Path, point: Path, tmp_path: Path, spawn: Callable[..., Process]
) -> None:
    """The first report is that the mount answers, when it does; the last one that it ends."""
    notify = f"NOTIFY_SOCKET={tmp_path / 'notify'}"
    process = spawn("env", notify, FANOUTFS, "mount", "--foreground", source, point)
    first = manager.recv(4096).decode().split("\n")
    assert_same(source, point / "image")
    process.send_signal(signal.SIGTERM)
    finish(process)

    assert first[0] == "READY=1"
    assert first[-1].startswith(f"STATUS={source} on {point}: 0 readers")
    assert b"STOPPING=1" in manager.recv(4096)
    assert mountinfo.at(point) == []


def test_a_mount_that_fails_is_not_ready(manager: socket.socket, tmp_path: Path, point: Path) -> None:
    """It exits with 1, and the manager is told nothing."""
    words = (FANOUTFS, "mount", "--foreground", tmp_path / "missing", point)
    done = run(*words, code=1, env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    manager.settimeout(0)
    with pytest.raises(BlockingIOError):
        manager.recv(4096)
    assert done.stderr.startswith(b"fanoutfs: ")
    assert os.listdir(point) == []  # noqa: PTH208 (nothing is in it)
