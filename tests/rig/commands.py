"""Run programs so that no test waits for ever, not even on a mount that hangs."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

FANOUTFS = Path(sys.executable).with_name("fanoutfs")
TIMEOUT = 90.0  # seconds, a bound on hanging alone: the slowest command here takes about five
LOOKS = 0.005, 0.05  # seconds between two looks at what is waited for, at first and later
DYING = 3.0  # seconds that a killed process gets; one in state D goes when its mount is aborted

Argument = str | Path | int
Done = subprocess.CompletedProcess[bytes]
Process = subprocess.Popen[bytes]


def hear_signals() -> None:
    """Let children have the default action of every signal, whatever our parent ignores or blocks.

    nohup ignores SIGHUP, and a shell SIGINT and SIGQUIT of what it runs in the background. Children inherit
    that, and a command that is to be interrupted is not. A handler is not inherited, also one that does
    nothing, with which we are as deaf as we were told to be.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)
    # Ignored, it would take the exit codes of our children along.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


hear_signals()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return our environment with plain messages and the administrator's commands on the path."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8", **(extra or {})}


def start(
    *command: Argument,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start a command, its standard error in a pipe."""
    words = [str(word) for word in command]
    return subprocess.Popen(
        words, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, cwd=cwd, env=environment(env)
    )


def finish(process: Process, *, timeout: float = TIMEOUT, code: int | None = 0) -> Done:
    """Wait for a command's end and fail the test when it takes too long or ends with another code."""
    words = list(map(str, process.args)) if isinstance(process.args, Sequence) else []
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        end(process)
        pytest.fail(f"still running after {timeout} s: {' '.join(words)}")
    done = Done(words, process.returncode, out or b"", err or b"")
    if code is not None and done.returncode != code:
        pytest.fail(
            f"exit {done.returncode}, not {code}: {' '.join(words)}\n{done.stderr.decode(errors='replace')}"
        )
    return done


def run(
    *command: Argument,
    timeout: float = TIMEOUT,
    code: int | None = 0,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Done:
    """Run a command to its end; `code` None takes any exit code."""
    return finish(start(*command, cwd=cwd, env=env), timeout=timeout, code=code)


def shell(script: str, *arguments: Argument, timeout: float = TIMEOUT, code: int | None = 0) -> Done:
    """Run a shell line in which $1, $2 and so on are the arguments."""
    return run("sh", "-ec", script, "sh", *arguments, timeout=timeout, code=code)


def fanoutfs(
    *arguments: Argument, timeout: float = TIMEOUT, code: int | None = 0, cwd: Path | None = None
) -> Done:
    """Run the installed command."""
    return run(FANOUTFS, *arguments, timeout=timeout, code=code, cwd=cwd)


def end(process: Process) -> None:
    """Kill a process that we started, stopped or not, and give it a moment to go."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(DYING)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def wait_until(
    condition: Callable[[], bool], what: str, timeout: float = 60.0, looks: tuple[float, float] = LOOKS
) -> None:
    """Look again and again until the condition holds; fail the test after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    pause, longest = looks
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout} s: {what}")
        time.sleep(pause)
        pause = min(2 * pause, longest)


def has_ended(pid: int) -> bool:
    """Tell whether a process is gone; one that only waits to be reaped is."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def is_stopped(pid: int) -> bool:
    """Tell whether a process has been stopped by a signal."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
