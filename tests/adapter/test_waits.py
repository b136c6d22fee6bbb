"""Waits of the commands, each with its other side stopped: it ends, with the line of docs/concurrency.md."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fanoutfs.engine import daemon, silence
from fanoutfs.engine.query import read_status, status_of
from fanoutfs.errors import FanoutError, NoAnswerError, UnusableError
from fanoutfs.mounting import place, readiness, stop
from fanoutfs.remote import nbd_source
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.resolve import resolve
from fanoutfs.system import bounded, mountinfo, mountpoint
from fanoutfs.system.credentials import read_certificate, read_token
from fanoutfs.system.mountinfo import FANOUTFS, Mount, detach
from fanoutfs.system.pipe import message_pipes
from fanoutfs.system.supervisor import Supervisor
from tests.limits import HANG_SECONDS
from tests.rig.hanging import LIMIT, let_hang


@pytest.fixture
def stopped_process() -> Iterator[int]:
    """Give a process that is stopped."""
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    os.waitpid(pid, os.WUNTRACED)
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_daemon_is_stopped_before_it_is_ready(
    stopped_process: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that started it ends, and says how it goes on."""
    monkeypatch.setattr(daemon, "START_SECONDS", LIMIT)
    server, command = message_pipes()
    said = f"before /mnt was mounted: process {stopped_process} is stopped; .*kill -CONT {stopped_process}"
    with pytest.raises(NoAnswerError, match=said):
        daemon.receive_start(command, "/mnt was mounted", stopped_process)
    server.close()
    command.close()


@pytest.mark.parametrize("stopped", [True, False])
def test_the_supervisor_of_a_link(
    stopped_process: int, monkeypatch: pytest.MonkeyPatch, *, stopped: bool
) -> None:
    """It is stopped, or has ended: a read ends, and the line says which."""
    monkeypatch.setattr(nbd_source, "SUPERVISOR_SECONDS", LIMIT if stopped else HANG_SECONDS)
    supervisor, link = message_pipes()
    said = f"its supervisor has not answered for {LIMIT:g} seconds: process {stopped_process} is stopped; "
    if not stopped:
        supervisor.close()
        said = "its supervisor has ended"
    with pytest.raises(UnusableError, match=f"the source nbd://far/ can't be reached: {said}"):
        nbd_source._connect(Supervisor(link, stopped_process), "nbd://far/")
    supervisor.close()
    link.close()


@pytest.fixture
def silent_mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped_process: int) -> Path:
    """Give the point of a mount of ours whose daemon, which is known, does not answer."""
    point = tmp_path.resolve() / "mnt"
    point.mkdir()
    entry = Mount(2, 1, 0, 99, str(point), FANOUTFS, str(tmp_path / "source"), (f"user_id={os.getuid()}",))
    monkeypatch.setattr(bounded, "ANSWER_SECONDS", LIMIT)
    for module in (mountpoint, silence, place):
        monkeypatch.setattr(module, "mount_at", lambda where: entry if where == point else None)
    monkeypatch.setattr("fanoutfs.system.paths.mounts", lambda: [entry])
    monkeypatch.setattr(mountinfo, "mounts", lambda: [entry])
    monkeypatch.setattr(silence, "_daemon", lambda _mount: stopped_process)
    monkeypatch.setattr(os, "statvfs", lambda _point: time.sleep(600))
    monkeypatch.setattr(Path, "read_bytes", lambda _path: time.sleep(600))
    return point


@pytest.mark.parametrize("ask", [read_status, status_of, place.prepare, stop.umount, silence.is_alive])
def test_the_daemon_of_a_mount_is_stopped(
    ask: Callable[[Path], object], silent_mount: Path, stopped_process: int
) -> None:
    """Who asks it ends; the line names mount and process, and what continues it or takes the mount down."""
    said = (
        f"the mount on {silent_mount} has not answered for {LIMIT:g} seconds: process {stopped_process} is "
        f"stopped; continue it with: kill -CONT {stopped_process}; "
        f"to take the mount down: umount -l {silent_mount}"
    )
    with pytest.raises(NoAnswerError) as caught:
        ask(silent_mount)
    assert str(caught.value) == said


def test_a_source_in_a_mount_whose_daemon_is_stopped(silent_mount: Path) -> None:
    """It is not opened."""
    with pytest.raises(
        NoAnswerError, match=f"{silent_mount}/image does not answer: the daemon of the mount on"
    ):
        resolve(str(silent_mount / "image"), RemoteKeys())


def test_a_new_mount_does_not_answer(silent_mount: Path) -> None:
    """The checker reports that, and the mount is taken down."""
    assert readiness.probe(silent_mount) == f"has not answered within {LIMIT:g} seconds"


@pytest.mark.parametrize(
    "use",
    [
        lambda path: resolve(str(path), RemoteKeys()),
        status_of,
        stop.umount,
        mountpoint.normalise,
        read_token,
        lambda path: read_certificate(path, path),
    ],
)
def test_a_file_system_hangs(
    use: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is named in it: the line names the path, the mount point and what takes it down."""
    let_hang(tmp_path, monkeypatch)
    said = f"{tmp_path}/x does not answer: the file system on {tmp_path} .* down with: umount -l {tmp_path}"
    with pytest.raises(NoAnswerError, match=said):
        use(tmp_path / "x")


def test_a_program_that_unmounts_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left, and the line says what does not wait."""
    monkeypatch.setattr(bounded, "ANSWER_SECONDS", LIMIT)
    monkeypatch.setattr(bounded, "run_within", lambda seconds, _argv: _hang(seconds))
    with pytest.raises(
        FanoutError, match=f"{tmp_path} can't be unmounted: .* has not ended within .* umount -l"
    ):
        detach(tmp_path, lazy=False)


def _hang(seconds: float) -> None:
    assert seconds == LIMIT
    raise TimeoutError
