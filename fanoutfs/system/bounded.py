"""System calls and programs that may never end, with a limit.

A system call on a file system whose server is stopped can't be interrupted, and a process with a thread in it
does not end. So it is made in a forked process, which is killed when the time is over, and left behind
if that does not end it.
"""

import contextlib
import errno
import os
import pickle
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn, TypeVar

from fanoutfs.system.fork import close_all_but, starting
from fanoutfs.system.process_end import is_reaped
from fanoutfs.system.ready import readable

ANSWER_SECONDS = 10.0
"""How long a mount, or a program that asks one, may take."""

DYING_SECONDS = 0.2
"""How long a killed process is waited for."""

_Result = TypeVar("_Result")


def call_within(seconds: float, work: Callable[[], _Result]) -> _Result:
    """Call ``work`` in a forked process and return its result, which is pickled.

    Raise what it raised; TimeoutError, which is an OSError, after ``seconds``; UnusableError if there may be
    no further process.
    """
    reading, writing = os.pipe()
    with starting():
        pid = os.fork()
    if pid == 0:
        _be_child(work, writing)
    os.close(writing)
    try:
        packed = _read(reading, time.monotonic() + seconds)
    finally:
        os.close(reading)
        _end(pid)
    if not packed:
        raise TimeoutError
    result, error = pickle.loads(packed)  # noqa: S301 (our own child's)
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]  # what the child was asked for


def run_within(seconds: float, argv: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    """Run a program; return its exit code and output. Raise OSError, or as ``call_within``.

    It is looked for with the same limit: a folder of PATH may lie on a file system that hangs.
    """
    found = call_within(seconds, partial(shutil.which, argv[0]))
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
    pipe = subprocess.PIPE
    with starting():
        process = subprocess.Popen(argv, executable=found, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    try:
        out, err = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError from error
    finally:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(DYING_SECONDS)
        for end in (process.stdout, process.stderr):
            if end is not None:
                end.close()
    return subprocess.CompletedProcess(argv, process.returncode, out, err)


def _be_child(work: Callable[[], object], writing: int) -> NoReturn:
    try:
        # It may stay when the command has ended, and must hold nothing then: no lock, no terminal.
        close_all_but(writing)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        try:
            answer: tuple[object, Exception | None] = work(), None
        except Exception as error:  # noqa: BLE001 (raised again in the parent)
            answer = None, error
        left = pickle.dumps(answer)
        while left:
            left = left[os.write(writing, left) :]
    finally:
        os._exit(0)


def _read(fd: int, until: float) -> bytes:
    """Read to the end; return nothing when that has not come in time."""
    pieces: list[bytes] = []
    while readable([fd], max(0.0, until - time.monotonic())):
        piece = os.read(fd, 1 << 20)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
    return b""


def _end(pid: int) -> None:
    """Kill a child, and reap it if it ends."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGKILL)
        is_reaped(pid, time.monotonic() + DYING_SECONDS)
