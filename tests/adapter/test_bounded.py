"""System calls and programs with a limit: what they return and raise, and what is left of them."""

import errno
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fanoutfs.errors import UnusableError
from fanoutfs.system import bounded, paths
from fanoutfs.system.bounded import call_within, run_within
from tests.limits import HANG_SECONDS
from tests.rig.hanging import let_hang, network_mount, stop_here, undying


def _raise(error: Exception) -> None:
    raise error


def test_a_result_of_any_size() -> None:
    """It is returned whole, also where it is larger than a pipe."""
    assert call_within(HANG_SECONDS, lambda: b"x" * 3_000_000) == b"x" * 3_000_000


@pytest.mark.parametrize("error", [OSError(errno.ENOTCONN, "not connected"), UnusableError("no")])
def test_an_error(error: Exception) -> None:
    """It is raised here."""
    with pytest.raises(type(error)) as caught:
        call_within(HANG_SECONDS, lambda: _raise(error))
    assert caught.value.args == error.args


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
@pytest.mark.parametrize(
    ("start", "ask"),
    [
        ("os.fork", lambda: call_within(HANG_SECONDS, os.getpid)),
        ("subprocess.Popen", lambda: run_within(HANG_SECONDS, [sys.executable])),
    ],
)
def test_no_further_process(
    start: str, ask: Callable[[], object], number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names the limits; it is not taken for an answer of what was asked."""
    monkeypatch.setattr(start, lambda *_, **__: _raise(OSError(number, os.strerror(number))))
    with pytest.raises(UnusableError, match=r"no further process .* ulimit -u"):
        ask()


def test_a_call_that_never_ends() -> None:
    """It is given up when the time is over, and its process is killed, whatever signals that ignores."""
    reading, writing = os.pipe()

    def hang() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        while True:
            signal.pause()

    with pytest.raises(TimeoutError):
        call_within(0.05, hang)
    os.close(writing)
    # Nothing has the other end: the process is gone, and had closed what it inherited.
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_a_killed_process_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left behind: the caller goes on."""
    monkeypatch.setattr(bounded, "DYING_SECONDS", 0.05)
    with undying(), pytest.raises(TimeoutError):
        call_within(0.05, stop_here)


def test_a_program_that_ends() -> None:
    """Its exit code and both outputs are returned."""
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    done = run_within(HANG_SECONDS, [sys.executable, "-c", code])
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")


def test_a_program_that_never_ends() -> None:
    """It is killed when the time is over."""
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        run_within(0.05, ["sleep", "600"])
    assert time.monotonic() - began < HANG_SECONDS


def test_a_program_on_a_file_system_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of PATH may lie there: looking for the program is given up in time, too."""
    monkeypatch.setattr(shutil, "which", lambda _name: stop_here())
    with pytest.raises(TimeoutError):
        run_within(0.05, ["true"])


def test_a_program_that_is_missing() -> None:
    """The error is that of its start."""
    with pytest.raises(FileNotFoundError):
        run_within(HANG_SECONDS, ["/nowhere/program"])


def test_a_path_on_a_file_system_that_hangs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error names path, mount point and kind; nothing of it was touched by this process."""
    let_hang(tmp_path, monkeypatch)

    with pytest.raises(
        UnusableError, match=rf"{tmp_path}/x does not answer: .*{tmp_path} \(nfs4\).* umount -l"
    ):
        paths.find(str(tmp_path / "x"))


def test_a_path_on_a_file_system_that_answers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is followed to its end."""
    (tmp_path / "link").symlink_to("there")
    monkeypatch.setattr(paths, "mounts", lambda: [network_mount(tmp_path)])

    assert paths.find(str(tmp_path / "link" / "y")) == (f"{tmp_path}/there/y", None)
