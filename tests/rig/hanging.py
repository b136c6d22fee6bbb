"""A file system that does not answer: the mount table has it, and a question to it takes for ever."""

import time
from pathlib import Path

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
