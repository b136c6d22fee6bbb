"""Locks of other programs, each held for real by a different open file description or process."""

import errno
import fcntl
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from fanoutfs.checking.check import check
from fanoutfs.checking.claimed import LOCK_SECONDS, claim_all, open_exclusive
from fanoutfs.checking.safety import Candidate, RefusedError
from fanoutfs.errors import UnusableError
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.resolve import resolve
from fanoutfs.source.local import PositionedSource
from fanoutfs.system import locks


def lock_as_qemu(fd: int) -> None:
    """Lock what QEMU locks of a writable drive: a byte for each permission, shared (block/file-posix.c)."""
    for begin, length in ((100, 2), (201, 1)):
        fcntl.fcntl(
            fd, fcntl.F_OFD_SETLK, struct.pack("@hhqqi0q", fcntl.F_RDLCK, os.SEEK_SET, begin, length, 0)
        )


def lock_last_byte(fd: int) -> None:
    """Lock a byte behind the end of the file."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack("@hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, 2**40, 1, 0))


def share(fd: int) -> None:
    """Lock it as udev locks a disk that was just closed."""
    fcntl.flock(fd, fcntl.LOCK_SH)


def lock(fd: int) -> None:
    """Lock it as mkfs does."""
    fcntl.flock(fd, fcntl.LOCK_EX)


HELD: list[Callable[[int], None]] = [lock_as_qemu, lock_last_byte, share, lock]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with content; a source is beside it."""
    path = tmp_path / "file"
    path.write_text("somebody's work")
    (tmp_path / "source").write_text("the image")
    return path


@pytest.fixture
def other(file: Path) -> Iterator[int]:
    """Open the file as a different program would have it open."""
    fd = os.open(file, os.O_RDWR)
    yield fd
    os.close(fd)


def candidate(file: Path) -> Candidate:
    """Return the file, checked."""
    (found,) = check(str(file.parent / "source"), 9, [str(file)])
    return found


@pytest.mark.parametrize("hold", HELD)
def test_a_target_that_is_locked(file: Path, other: int, hold: Callable[[int], None]) -> None:
    """It is refused; when the lock is gone, it is free."""
    hold(other)
    with pytest.raises(UnusableError, match=f"^the target {file} is being read or written: "):
        open_exclusive(candidate(file), direct=False)
    fcntl.flock(other, fcntl.LOCK_UN)
    fcntl.fcntl(other, fcntl.F_OFD_SETLK, struct.pack("@hhqqi0q", fcntl.F_UNLCK, os.SEEK_SET, 0, 0, 0))
    open_exclusive(candidate(file), direct=False).close()
    assert "somebody's work" == file.read_text()


@pytest.mark.parametrize("hold", [lock_as_qemu, "fcntl.lockf(fd, fcntl.LOCK_EX)", share])
def test_the_holder_is_named(file: Path, hold: Callable[[int], None] | str) -> None:
    """The kernel's table has no process for an open file description lock; the process's own table has."""
    how = hold if isinstance(hold, str) else f"{hold.__module__.rpartition('.')[2]}.{hold.__name__}(fd)"
    program = (
        f"import fcntl, os, test_locks; fd = os.open({str(file)!r}, os.O_RDWR); {how}; print(1); input()"
    )
    command = [sys.executable, "-uc", program]
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={"PYTHONPATH": path}
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.read(1)
        name = Path(f"/proc/{holder.pid}/comm").read_text().strip()
        with pytest.raises(UnusableError, match=rf": locked by {name} \(process {holder.pid}\);"):
            open_exclusive(candidate(file), direct=False)


def test_a_lock_of_a_moment_is_waited_for(file: Path, other: int) -> None:
    """A line says so, and the copy goes on when the lock is gone."""
    share(other)
    lines: list[str] = []

    def show(line: str) -> None:
        lines.append(line)
        fcntl.flock(other, fcntl.LOCK_UN)

    (claimed,) = claim_all([candidate(file)], direct=False, show=show)
    claimed.close()
    assert [
        f"waiting up to {LOCK_SECONDS:.0f} s for the target {file}, locked by a different program"
    ] == lines


def test_ctrl_c_ends_the_wait(file: Path, other: int) -> None:
    """Targets that were claimed before are given back."""
    share(other)

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    new = file.with_name("new")
    with pytest.raises(KeyboardInterrupt):
        claim_all([candidate(new), candidate(file)], direct=False, show=interrupt)
    assert not new.exists()


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL])
def test_a_file_system_without_locks(file: Path, error: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy goes on without, as source and as target."""
    refuse_locks(monkeypatch, error)
    open_exclusive(candidate(file), direct=False).close()
    PositionedSource.open(str(file)).close()


def test_a_lock_that_fails(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, and a file that was made for the copy is removed."""
    new = file.with_name("new")
    found = candidate(new)
    refuse_locks(monkeypatch, errno.EIO)
    with pytest.raises(RefusedError, match=f"^the target {new} can't be locked: input/output error$"):
        claim_all([found], direct=False)
    assert not new.exists()
    with pytest.raises(UnusableError, match=r"^the source .* can't be locked: input/output error$"):
        PositionedSource.open(str(file))


def refuse_locks(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    """Have every lock fail."""
    real = fcntl.fcntl

    def fail(*_: object) -> NoReturn:
        raise OSError(error, os.strerror(error))

    def control(fd: int, command: int, argument: int = 0) -> object:
        if command in (fcntl.F_OFD_SETLK, fcntl.F_OFD_GETLK):
            fail()
        return real(fd, command, argument)

    monkeypatch.setattr(fcntl, "flock", fail)
    monkeypatch.setattr(fcntl, "fcntl", control)


def test_a_source_that_a_virtual_machine_has(file: Path, other: int) -> None:
    """The user is warned, for the machine may write it meanwhile."""
    keys = RemoteKeys()
    assert resolve(str(file), keys).warning is None
    lock_as_qemu(other)
    warning = f"{file} may change while it is read: a part of it is locked by a different program"
    assert warning == resolve(str(file), keys).warning


def test_locks_of_files_with_the_same_inode_elsewhere(file: Path, tmp_path: Path) -> None:
    """A lock on a different file system is not taken for one of this file."""
    status = file.stat()
    device = f"{os.major(status.st_dev) + 1:02x}:{os.minor(status.st_dev):02x}"
    (tmp_path / "locks").write_text(f"1: FLOCK  ADVISORY  WRITE 1 {device}:{status.st_ino} 0 EOF\n")
    with file.open() as opened:
        assert not locks.holders(opened.fileno(), tmp_path)
