"""Locks on files and disks: taken against other programs, and what programs hold those that conflict.

Linux has three kinds. flock(2) locks do not see the other two. Record locks (fcntl(2), lockf(3)) and open
file description locks, which QEMU holds on its images, see each other. So both an flock and an open file
description lock of the whole file are taken. A file system may support neither: then there is no lock, and
nothing to wait for.
"""

import errno
import fcntl
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import attrs

from fanoutfs.system.proc import command_name

_UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What network file systems, overlays and some FUSE file systems answer."""

_FLOCK = struct.Struct("@hhqqi0q")
"""struct flock of fcntl(2): type, whence, start, length, process; a length of 0 reaches to the end."""

_LOCK = re.compile(r"\d+: \w+ +\S+ +(?:READ|WRITE) +(-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) ")
"""A line of /proc/locks, and of /proc/PID/fdinfo/FD behind "lock:" (proc(5)): process, device, inode. A lock
that is only waited for has "->" before its kind."""


def take_alone(fd: int) -> bool:
    """Lock a file of ours by flock(2); return False while a different process has it. Raise OSError."""
    return _flock(fd, fcntl.LOCK_EX)


def take_shared(fd: int) -> bool:
    """Lock a source against programs that write it as a whole; return False while one has it locked.

    Raise OSError if locking fails for a different reason.
    """
    return _flock(fd, fcntl.LOCK_SH)


def take_exclusive(fd: int) -> bool:
    """Lock a target; return False while a different program has any part of it locked. Raise OSError."""
    return _flock(fd, fcntl.LOCK_EX) and _lock_record(fd)


def has_record_lock(fd: int) -> bool:
    """Return whether a different program has locked any part of the file by fcntl(2), as QEMU does."""
    try:
        request = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, *_ = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_OFD_GETLK, request))
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return False
    return bool(kind != fcntl.F_UNLCK)


def holders(fd: int, proc: Path = Path("/proc")) -> str:
    """Return the programs that have locked the file, as "qemu (process 12)"; empty if none can be seen."""
    status = os.fstat(fd)
    pids = {pid for path in _tables(proc) for pid in _pids(path, status)} - {os.getpid()}
    return ", ".join(f"{command_name(proc / str(pid)) or 'process'} (process {pid})" for pid in sorted(pids))


def _flock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    return True


def _lock_record(fd: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except (BlockingIOError, PermissionError):
        # EAGAIN or EACCES, says fcntl(2).
        return False
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    return True


@attrs.frozen
class _Held:
    pid: int
    device: int
    inode: int


def _tables(proc: Path) -> Iterator[Path]:
    """Return the kernel's tables of locks. The first has no process for an open file description lock."""
    yield proc / "locks"
    for process in proc.iterdir():
        if process.name.isdecimal():
            try:
                yield from (process / "fdinfo").iterdir()
            except OSError:
                # It has ended, or is a different user's.
                continue


def _pids(table: Path, status: os.stat_result) -> Iterator[int]:
    """Return the processes that hold a lock on the file; those in a table of descriptors hold it there."""
    for held in _held(_text(table)):
        # The device number of btrfs and overlays is not the one that stat(2) reports (major 0).
        same = held.device == status.st_dev or os.major(status.st_dev) == 0
        if held.inode == status.st_ino and same:
            pid = int(table.parent.parent.name) if table.parent.name == "fdinfo" else held.pid
            if pid > 0:
                yield pid


def _held(text: str) -> Iterator[_Held]:
    for pid, major, minor, inode in _LOCK.findall(text):
        yield _Held(int(pid), os.makedev(int(major, 16), int(minor, 16)), int(inode))


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
