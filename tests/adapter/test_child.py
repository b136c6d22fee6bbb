"""Programs as a supervisor runs them; here the test is the supervisor."""

import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fanoutfs.errors import UnusableError
from fanoutfs.system import child
from fanoutfs.system.child import DYING_SECONDS, LONGEST_LINE, Child
from fanoutfs.system.ready import readable
from tests.limits import HANG_SECONDS
from tests.rig.hanging import undying

Start = Callable[..., Child]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start shell lines; at the end none of them runs."""
    with ExitStack() as stack:

        def begin(line: str, **options: Any) -> Child:
            program = Child.start(["sh", "-c", line], **options)
            stack.callback(program.end)
            return program

        yield begin


def run(program: Child) -> int:
    """Return its exit code."""
    until = time.monotonic() + HANG_SECONDS
    while program.ended is None:
        assert time.monotonic() < until, "it has not ended"
        program.wait(seconds=HANG_SECONDS)
    return program.ended


def wait_for_line(program: Child, line: str) -> None:
    until = time.monotonic() + HANG_SECONDS
    while line not in program.last_lines:
        assert time.monotonic() < until, f"it said {list(program.last_lines)}"
        program.wait(seconds=HANG_SECONDS)


def test_its_last_lines_are_kept(start: Start) -> None:
    """Five of them, without empty ones; also one that it has not finished."""
    program = start("for n in 1 2 3 4 5 6; do echo $n >&2; echo >&2; done; printf 7 >&2; exit 3")
    assert 3 == run(program)
    assert ["3", "4", "5", "6", "7"] == list(program.last_lines)


def test_a_line_without_an_end_takes_no_memory(start: Start) -> None:
    """Its end is kept."""
    program = start("head -c 10M /dev/zero | tr '\\0' x >&2; printf end >&2")
    assert 0 == run(program)
    (said,) = program.last_lines
    assert LONGEST_LINE == len(said)
    assert said.endswith("xend")


def test_who_is_killed_has_a_negative_code(start: Start) -> None:
    """As subprocess has it."""
    program = start("kill -9 $$")
    assert -signal.SIGKILL == run(program)


def test_one_that_has_closed_its_stderr_is_waited_for(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its silence is not its end, and wakes nobody again."""
    woken: list[list[int]] = []

    def noting(reading: list[int], seconds: float | None) -> list[int]:
        woken.append(readable(reading, seconds))
        return woken[-1]

    monkeypatch.setattr("fanoutfs.system.child.readable", noting)
    held, hold = os.pipe()
    with open(held) as until, open(hold, "w") as holding:  # noqa: PTH123 (descriptors)
        program = start(f"exec 2>&-; read _ </proc/self/fd/{until.fileno()}; exit 4", kept=(until.fileno(),))
        stderr = program._stderr
        program.wait(seconds=HANG_SECONDS)
        still_runs = program.ended is None
        holding.close()
        code = run(program)

    assert (True, 4) == (still_runs, code)
    # The child may have ended before it was waited for again.
    assert woken in ([[stderr]], [[stderr], [program._pidfd]])


def test_somebody_else_can_be_heard_meanwhile(start: Start) -> None:
    """Waiting gives the descriptors that can be read, and only those."""
    program = start("exec sleep 60")
    one, other = socket.socketpair()
    with one, other:
        assert [] == program.wait(one.fileno(), seconds=0.01)
        other.send(b"x")
        assert [one.fileno()] == program.wait(one.fileno(), seconds=HANG_SECONDS)


def test_it_ends_when_it_is_asked_to(start: Start) -> None:
    """By SIGTERM; what it says then is kept."""
    program = start("trap 'echo bye >&2; exit 5' TERM; echo ready >&2; while :; do sleep 0.02; done")
    wait_for_line(program, "ready")
    program.end()
    assert 5 == program.process.returncode
    assert "bye" == program.last_lines[-1]


def test_one_that_does_not_end_is_killed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time that it is given."""
    program = start("trap '' TERM; echo ready >&2; while :; do sleep 0.02; done")
    wait_for_line(program, "ready")
    given: list[float | None] = []
    wait = program.process.wait

    def noting(timeout: float | None = None) -> int:
        given.append(timeout)
        return wait(timeout)

    monkeypatch.setattr(program.process, "wait", noting)
    program.end(0.02)
    assert -signal.SIGKILL == program.process.returncode
    assert [0.02, DYING_SECONDS] == given


def test_a_killed_one_stays(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left behind: its supervisor goes on."""
    program = start("while :; do sleep 0.02; done")
    monkeypatch.setattr(child, "DYING_SECONDS", 0.05)
    with undying():
        program.end(0.05)
        assert program.process.poll() is None
    assert program.process.wait(HANG_SECONDS) is not None


def test_it_has_what_is_kept_for_it_and_no_more(start: Start) -> None:
    """Descriptors are handed over by name."""
    with open(os.devnull) as given, open(os.devnull) as other:  # noqa: PTH123 (two descriptors)
        line = f"test -e /proc/$$/fd/{given.fileno()} && ! test -e /proc/$$/fd/{other.fileno()}"
        assert 0 == run(start(line, kept=(given.fileno(),)))


def test_what_comes_first_is_done_in_its_process(start: Start) -> None:
    """The environment that it finds there is its own."""

    def first() -> None:
        os.environ["WHO"] = str(os.getpid())

    assert 0 == run(start('test "$WHO" = $$', first=first))
    assert "WHO" not in os.environ


def test_one_that_is_not_installed_is_named() -> None:
    """With the packages that have it."""
    with pytest.raises(UnusableError, match="nbdnothing is not installed"):
        Child.start(["nbdnothing"])


KEEPER = """
import sys, time
from fanoutfs.system.child import Child
program = Child.start(["sh", "-c", "exec sleep 60"])
print(program.process.pid, flush=True)
time.sleep(60)
"""


def test_it_ends_with_its_keeper() -> None:
    """Also with one that is killed."""
    with subprocess.Popen([sys.executable, "-c", KEEPER], stdout=subprocess.PIPE) as supervisor:
        assert supervisor.stdout is not None
        program = os.pidfd_open(int(supervisor.stdout.readline()))
        try:
            assert [] == select.select([program], [], [], 0.1)[0]
            supervisor.kill()
            assert [program] == select.select([program], [], [], HANG_SECONDS)[0]
        finally:
            os.close(program)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_a_filter_forbids_pidfds(monkeypatch: pytest.MonkeyPatch, start: Start, number: int) -> None:
    """One line says which system call a container or service has to permit; nothing runs on."""

    def forbidden(_: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pidfd_open", forbidden)
    with pytest.raises(UnusableError, match=r"pidfd_open\(2\): .*; permit it"):
        start("exec cat")
