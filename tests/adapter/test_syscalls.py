"""The system calls that Python has not got, called for real."""

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fanoutfs.system import syscalls
from fanoutfs.system.syscalls import KEEP_SIZE, PUNCH_HOLE, fallocate, sync_file_range
from fanoutfs.units import PAGE


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    """Open a file of four pages that are no zeros."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 4 * PAGE)
    fd = os.open(path, os.O_RDWR)
    yield fd
    os.close(fd)


def test_a_hole_is_punched_where_asked(file: int) -> None:
    """Offset and length arrive as they are, and the file keeps its size."""
    fallocate(file, PUNCH_HOLE | KEEP_SIZE, PAGE, 2 * PAGE)

    assert b"x" * PAGE + bytes(2 * PAGE) + b"x" * PAGE == os.pread(file, 5 * PAGE, 0)


def test_a_file_is_preallocated_beyond_its_end(file: int) -> None:
    """It becomes as long as that, also where 32 bits would not do."""
    os.ftruncate(file, 0)
    fallocate(file, 0, 5 << 32, PAGE)

    assert ((5 << 32) + PAGE) == os.fstat(file).st_size


@pytest.mark.parametrize("call", [fallocate, sync_file_range])
def test_what_the_system_says_is_raised(call: Callable[[int, int, int, int], None]) -> None:
    """As any call of Python's own does it."""
    with pytest.raises(OSError, match="Bad file descriptor") as failure:
        call(-1, 0, 0, PAGE)

    assert errno.EBADF == failure.value.errno


def test_a_signal_does_not_end_a_call() -> None:
    """It is made again, until it says something else."""
    answers = [errno.EINTR, errno.EINTR, 0]

    def interrupted(*_: int) -> int:
        ctypes.set_errno(answers.pop(0))
        return -1 if answers else 0

    syscalls._call(interrupted, 1, 2)

    assert [] == answers
