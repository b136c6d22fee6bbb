"""What a process gives up before it holds bytes of a source; in a child, because it can't be taken back."""

import ctypes
import os
import resource
from pathlib import Path

import pytest

from fanoutfs.system import confinement

PR_GET_DUMPABLE = 3


def confined() -> tuple[int, tuple[int, int], str]:
    """Return what a confined child has: whether it can be dumped, its limit of dumps, its NoNewPrivs."""
    empty, full = os.pipe()
    pid = os.fork()
    if pid == 0:
        confinement.confine()
        dumpable = ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        status = Path("/proc/self/status").read_text()
        rights = status.partition("NoNewPrivs:")[2].split()[0]
        os.write(full, f"{dumpable} {soft} {hard} {rights}".encode())
        os._exit(0)
    os.close(full)
    os.waitpid(pid, 0)
    answer = os.read(empty, 100).decode().split()
    os.close(empty)
    return int(answer[0]), (int(answer[1]), int(answer[2])), answer[3]


@pytest.mark.parametrize("mounts", [True, False])
def test_a_confined_process(*, mounts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never dumped or traced; where fusermount3 has to unmount for it, it can still start that."""
    monkeypatch.setattr(confinement, "may_mount", lambda: mounts)

    assert confined() == (0, (0, 0), "1" if mounts else "0")
