"""What never ends: a file system that does not answer, a program that is stopped, a process that stays."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from fanoutfs.system import bounded, paths
from fanoutfs.system.mountinfo import Mount

LIMIT = 0.05
"""Seconds that stand for bounded.ANSWER_SECONDS."""


def network_mount(point: Path) -> Mount:
    """Return the mount table's entry of a file system that another computer answers for."""
    return Mount(2, 1, 0, 99, str(point), "nfs4", "server:/x", ())


def let_hang(point: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the folder ``point`` be a network file system that hangs, for a limit that is short."""
    monkeypatch.setattr(bounded, "ANSWER_SECONDS", LIMIT)
    monkeypatch.setattr(paths, "mounts", lambda: [network_mount(point)])
    monkeypatch.setattr(paths, "_follow_and_ask", lambda _path, _table: time.sleep(600))


def let_programs_stop(folder: Path, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Stop the programs of these names (SIGSTOP) as soon as they are started."""
    for name in names:
        program = folder / name
        program.write_text("#!/bin/sh\nkill -STOP $$\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def stop_here() -> NoReturn:
    """Stop this process, a child that is killed later."""
    while True:
        os.kill(os.getpid(), signal.SIGSTOP)


@contextlib.contextmanager
def undying() -> Iterator[None]:
    """Keep killed processes running, as in a system call on a disk that hangs; end them afterwards."""
    killed: set[int] = set()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "kill", lambda pid, _number: killed.add(pid))
        yield
    for pid in killed:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
