"""Waits of the commands, each with its other side stopped: it ends, with the line of docs/concurrency.md."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fanoutfs.checking import contents, loops, lsblk
from fanoutfs.engine import daemon, remains, silence
from fanoutfs.engine.query import read_status, status_of
from fanoutfs.errors import FanoutError, NoAnswerError, UnusableError
from fanoutfs.mounting import place, readiness, stop
from fanoutfs.mounting.start import let_go
from fanoutfs.remote import nbd_source
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.resolve import resolve
from fanoutfs.simulate.simulate_command import simulate_command
from fanoutfs.system import bounded, mountinfo, mountpoint
from fanoutfs.system.credentials import read_certificate, read_token
from fanoutfs.system.mountinfo import FANOUTFS, Mount, detach
from fanoutfs.system.pipe import message_pipes
from fanoutfs.system.process_end import ProcessEnd
from fanoutfs.system.supervisor import Supervisor
from tests.documents import document
from tests.limits import HANG_SECONDS
from tests.rig.hanging import LIMIT, let_hang, let_programs_stop, stop_here


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
        lambda path: simulate_command.main([str(path)], standalone_mode=False),
        lambda path: simulate_command.main(["--picture", f"{path}.svg"], standalone_mode=False),
    ],
)
def test_a_file_system_hangs(
    use: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is named in it: the line names the path, the mount point and what takes it down."""
    let_hang(tmp_path, monkeypatch)
    said = (
        rf"{tmp_path}/x(\.svg)? does not answer: the file system on {tmp_path} .* with: umount -l {tmp_path}"
    )
    with pytest.raises(NoAnswerError, match=said):
        use(tmp_path / "x")


def test_a_program_that_unmounts_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended, and the line says what does not wait."""
    let_programs_stop(tmp_path, monkeypatch, "umount", "fusermount3")
    monkeypatch.setattr(bounded, "ANSWER_SECONDS", LIMIT)
    with pytest.raises(
        FanoutError, match=f"{tmp_path} can't be unmounted: .* has not ended within .* umount -l"
    ):
        detach(tmp_path, lazy=False)


def test_the_process_that_checks_a_mount_is_stopped(stopped_process: int) -> None:
    """The server goes on without its end."""
    let_go(stopped_process)
    assert os.waitpid(stopped_process, os.WNOHANG) == (0, 0)


def test_the_command_reports_too_late(tmp_path: Path) -> None:
    """It was stopped, and its daemon has unmounted by then: that is no mount."""
    server, command = message_pipes()
    server.send(mounted=True, log=None)
    server.close()
    with pytest.raises(UnusableError, match=f"^{tmp_path} was mounted, but this command reported too late"):
        readiness.wait_until_ready(command, tmp_path, os.getpid())
    command.close()


def test_programs_that_look_at_disks_are_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known of the disk then."""
    let_programs_stop(tmp_path, monkeypatch, "lsblk", "blkid")
    monkeypatch.setattr(lsblk, "SECONDS", LIMIT)
    monkeypatch.setattr(contents, "SECONDS", LIMIT)
    assert ({}, {}) == (lsblk.ask(["/dev/sdz"]), contents.probe("/dev/sdz"))


def test_a_disk_whose_beginning_never_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not taken for blank."""
    os.mkfifo(tmp_path / "disk")
    monkeypatch.setattr(contents, "SECONDS", LIMIT)
    assert not contents.begins_with_zeros(str(tmp_path / "disk"))


def test_a_loop_device_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file behind it is not known by its identity."""
    monkeypatch.setattr(loops, "SECONDS", LIMIT)
    monkeypatch.setattr(loops, "_ask", lambda _path: stop_here())
    assert loops.backing_file("loop0") is None


def wait_for_end(daemon: int) -> str:
    """Wait as ``umount`` does once the mount is gone; the control socket is gone, too."""
    was = Mount(2, 1, 0, 99, "/mnt", FANOUTFS, "/dev/sdb", ())
    return stop._wait_for_end(ProcessEnd.of(daemon), document(pid=daemon), Path("/mnt"), was)


def test_a_daemon_does_not_end_after_its_mount(stopped_process: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, after those who have the mount elsewhere were looked for."""
    for name in ("END_SECONDS", "NAMESPACE_SECONDS"):
        monkeypatch.setattr(stop, name, LIMIT)
    monkeypatch.setattr(stop, "ask_status", lambda _identity: None)
    with pytest.raises(
        UnusableError, match=f"^/mnt is unmounted, but daemon {stopped_process} has not ended; see its log$"
    ):
        wait_for_end(stopped_process)


def test_the_number_of_a_mount_that_is_gone_is_given_again(
    stopped_process: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount of a different source with the same number is not taken for it."""
    other = Mount(3, 1, 0, 99, "/other", FANOUTFS, "/dev/sdc", ())
    monkeypatch.setattr(remains, "mounts", lambda: [other])
    monkeypatch.setattr(ProcessEnd, "within", lambda _end, _seconds: True)
    assert wait_for_end(stopped_process) == ""
