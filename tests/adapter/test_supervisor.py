"""Keepers, forked from the test: what they have, and when they end."""

import errno
import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fanoutfs.system.pipe import MessagePipe
from fanoutfs.system.supervisor import Supervisor, Work
from tests.limits import HANG_SECONDS
from tests.rig.forbidden import forbidden

Fork = Callable[..., Supervisor]


@pytest.fixture
def fork() -> Iterator[Fork]:
    """Fork supervisors; at the end each has ended, once nobody holds its line."""
    with ExitStack() as stack:

        def begin(work: Work, *kept: int) -> Supervisor:
            supervisor = Supervisor.fork(work, *kept)
            stack.callback(see_end, supervisor.pid)
            stack.callback(supervisor.close)
            return supervisor

        yield begin


def see_end(pid: int) -> None:
    """Wait for the end of a child; one that hangs is killed, and fails the test."""
    descriptor = os.pidfd_open(pid)
    ended = select.select([descriptor], [], [], HANG_SECONDS)[0]
    os.close(descriptor)
    if not ended:
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert ended, f"supervisor {pid} has not ended"


def is_child(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] == 0


def stay(line: MessagePipe) -> None:
    """Answer until nobody asks."""
    while message := line.receive():
        line.send(**message)


def ask(supervisor: Supervisor, **message: Any) -> dict[str, Any]:
    supervisor.pipe.send(**message)
    return supervisor.pipe.receive(HANG_SECONDS)


def test_it_ends_when_nobody_holds_its_line(fork: Fork) -> None:
    """However those ended who did; it answers until then."""
    supervisor = fork(stay)
    assert {"there": 1} == ask(supervisor, there=1)


def test_it_stays_for_another_holder(fork: Fork) -> None:
    """Who started it may go: the one that serves the mount has the line."""
    supervisor = fork(stay)
    other = os.dup(supervisor.fileno())
    supervisor.close()
    try:
        assert is_child(supervisor.pid)
    finally:
        os.close(other)


def test_it_has_its_line_and_what_it_was_given(fork: Fork, tmp_path: Path) -> None:
    """Nothing else of its starter's stays open in it: no mount, no source, no socket."""

    def look(line: MessagePipe) -> None:
        # The listing has a descriptor, too, which is closed again by then.
        opened = [path for path in Path("/proc/self/fd").iterdir() if path.name != str(line.fileno())]
        line.send(files=[str(path.readlink()) for path in opened if path.is_symlink()])

    given, not_given = tmp_path / "given", tmp_path / "not given"
    with given.open("w") as one, not_given.open("w"):
        supervisor = fork(look, one.fileno())
        said = supervisor.pipe.receive(HANG_SECONDS)

    assert [*["/dev/null"] * 3, str(given)] == sorted(said["files"])


def test_it_is_in_a_session_of_its_own(fork: Fork) -> None:
    """Control-C in the terminal of a mount in the foreground is not for it."""

    def where(line: MessagePipe) -> None:
        line.send(session=os.getsid(0), folder=os.getcwd())  # noqa: PTH109 (a text for the line)

    supervisor = fork(where)
    assert {"session": supervisor.pid, "folder": "/"} == supervisor.pipe.receive(HANG_SECONDS)


def test_a_signal_that_its_starter_handles_ends_it(fork: Fork) -> None:
    """Handlers are the starter's alone."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        supervisor = fork(stay)
        assert {"there": 1} == ask(supervisor, there=1)
        os.kill(supervisor.pid, signal.SIGTERM)
        ended = os.waitid(os.P_PID, supervisor.pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        assert (os.CLD_KILLED, signal.SIGTERM) == (ended.si_code, ended.si_status)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_what_breaks_it_is_told(fork: Fork) -> None:
    """An exception in its work is the last that it says."""

    def broken(_: MessagePipe) -> None:
        raise ValueError("this is wrong")

    supervisor = fork(broken)
    assert "this is wrong" in supervisor.pipe.receive(HANG_SECONDS)["error"]
    assert {} == supervisor.pipe.receive(HANG_SECONDS)


def test_a_line_can_make_room(fork: Fork) -> None:
    """Its descriptor is wanted for something else; what is said goes on."""

    def move(line: MessagePipe) -> None:
        before = line.fileno()
        line.move()
        line.send(moved=before != line.fileno())
        stay(line)

    supervisor = fork(move)
    assert {"moved": True} == supervisor.pipe.receive(HANG_SECONDS)
    assert {"there": 1} == ask(supervisor, there=1)


def test_a_session_is_forbidden(monkeypatch: pytest.MonkeyPatch, fork: Fork) -> None:
    """As by the system call filter of a container: one line says so, and what to do."""
    monkeypatch.setattr(os, "setsid", forbidden(errno.EPERM))
    said = fork(stay).pipe.receive(HANG_SECONDS)["error"]
    assert said.startswith("no process can be prepared here: setsid(2): operation not permitted; permit it ")
