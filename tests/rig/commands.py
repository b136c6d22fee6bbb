"""Run programs with time limits, so that no caller waits for ever, not even on a mount that hangs."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

FANOUTFS = Path(sys.executable).with_name("fanoutfs")
TIMEOUT = 90.0  # seconds, only a bound on a hang: the slowest command here takes about five
LOOKS = 0.005, 0.05  # seconds between two checks of a condition, at first and later
DYING = 3.0  # seconds to wait for a killed process; one in state D ends when its mount is aborted

Argument = str | Path | int
Done = subprocess.CompletedProcess[bytes]
Process = subprocess.Popen[bytes]
Found = TypeVar("Found")


def restore_signals() -> None:
    """Give children the default action of every signal, whatever our parent ignores or blocks.

    nohup ignores SIGHUP, and a shell ignores SIGINT and SIGQUIT in its background jobs. Children inherit that
    and could then not be interrupted. They do not inherit a handler: one that does nothing makes this process
    ignore the signal as before.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda _number, _frame: None)
    # If it were ignored, the exit codes of our children would be lost.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


restore_signals()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return our environment with messages in English and the administrator's commands on the path."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return {**os.environ, "PATH": path, "LC_ALL": "C.UTF-8", **(extra or {})}


def start(
    *command: Argument,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.PIPE,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Process:
    """Start a command with its standard error in a pipe."""
    argv = [str(word) for word in command]
    return subprocess.Popen(
        argv, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, cwd=cwd, env=environment(env)
    )


def finish(process: Process, *, timeout: float = TIMEOUT, code: int | None = 0) -> Done:
    """Wait for a command's end; raise AssertionError if it takes too long or exits with a different code."""
    argv = list(map(str, process.args)) if isinstance(process.args, Sequence) else []
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        end(process)
        raise AssertionError(f"still running after {timeout} s: {' '.join(argv)}") from None
    done = Done(argv, process.returncode, out or b"", err or b"")
    if code is not None and done.returncode != code:
        raise AssertionError(
            f"exit {done.returncode}, not {code}: {' '.join(argv)}\n{done.stderr.decode(errors='replace')}"
        )
    return done


def run(
    *command: Argument,
    timeout: float = TIMEOUT,
    code: int | None = 0,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Done:
    """Run a command to its end; `code` None accepts any exit code."""
    return finish(start(*command, cwd=cwd, env=env), timeout=timeout, code=code)


def shell(script: str, *arguments: Argument, timeout: float = TIMEOUT, code: int | None = 0) -> Done:
    """Run a shell script in which $1, $2 and so on are the arguments."""
    return run("sh", "-ec", script, "sh", *arguments, timeout=timeout, code=code)


def fanoutfs(
    *arguments: Argument, timeout: float = TIMEOUT, code: int | None = 0, cwd: Path | None = None
) -> Done:
    """Run the installed command."""
    return run(FANOUTFS, *arguments, timeout=timeout, code=code, cwd=cwd)


def end(process: Process) -> None:
    """Kill a process that we started, even a stopped one, and wait a moment for its end."""
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
    """Check until the condition holds; raise AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    pause, longest = looks
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(pause)
        pause = min(2 * pause, longest)


def wait_for(find: Callable[[], Found | None], what: str, looks: tuple[float, float] = LOOKS) -> Found:
    """Call ``find`` until it returns something; return that."""
    found: list[Found | None] = [None]

    def is_found() -> bool:
        found[0] = find()
        return found[0] is not None

    wait_until(is_found, what, looks=looks)
    assert found[0] is not None
    return found[0]


def processes() -> Iterator[tuple[int, list[str]]]:
    """Yield the id and the command line of each process."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield int(folder.name), os.fsdecode((folder / "cmdline").read_bytes()).split("\0")


def has_ended(pid: int) -> bool:
    """Return whether a process has ended; a zombie has."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def is_stopped(pid: int) -> bool:
    """Return whether a process has been stopped by a signal."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def stop(pid: int) -> None:
    """Stop a process (SIGSTOP), and wait until it has stopped."""
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: is_stopped(pid), f"the process {pid} has stopped")
