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
TIMEOUT = 60.0  # seconds; the slowest command here takes about five
DYING = 3.0  # seconds that a killed process gets; one in state D goes when its mount is aborted

Argument = str | Path | int
Done = subprocess.CompletedProcess[bytes]
Process = subprocess.Popen[bytes]


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


def wait_until(condition: Callable[[], bool], what: str, timeout: float = 30.0) -> None:
    """Look again and again until the condition holds; fail the test after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout} s: {what}")
        time.sleep(0.05)


def has_ended(pid: int) -> bool:
    """Tell whether a process is gone; one that only waits to be reaped is."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"
