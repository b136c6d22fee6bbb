"""What a process gives up before it holds bytes of a source; in a child, because it can't be taken back."""

import ctypes
import errno
import os
import resource
from pathlib import Path
from types import SimpleNamespace

import pytest

from fanoutfs.errors import UnusableError
from fanoutfs.system import confinement, fork
from fanoutfs.system.child import Child

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


def test_prctl_is_forbidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """As by the system call filter of a container: one line says so, and what to do."""

    def fail(*_: object) -> int:
        ctypes.set_errno(errno.EPERM)
        return -1

    monkeypatch.setattr(fork, "_libc", SimpleNamespace(prctl=fail))
    said = (
        r"^no process can be prepared here: prctl\(2\): operation not permitted; permit it in the system call"
    )
    with pytest.raises(UnusableError, match=said):
        fork.control(confinement.PR_SET_DUMPABLE, 0)
    with pytest.raises(
        UnusableError, match=r"^cat can't be started: prctl\(2\) fails; permit it in the system"
    ):
        Child.start(["cat"])
