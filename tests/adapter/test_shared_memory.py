"""What a consumer is handed: memory that it can read, and that only the producer can change. Real calls."""

import ctypes
import errno
import fcntl
import mmap
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fanoutfs.errors import UnusableError
from fanoutfs.ring.memory import Memory, ReadOnlyMemory
from fanoutfs.shm.grant_table import Grant, GrantTable
from fanoutfs.system.syscalls import KEEP_SIZE, PUNCH_HOLE, fallocate
from fanoutfs.units import PAGE

libc = ctypes.CDLL(None, use_errno=True)
libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


@pytest.fixture(params=["slots", "table"])
def handed(request: pytest.FixtureRequest) -> Iterator[int]:
    """Make the descriptor of memory as a consumer receives it; its content must not change."""
    maker: Memory | GrantTable
    if request.param == "slots":
        maker = Memory(2, PAGE)
        maker.slot(0)[:] = b"s" * PAGE
    else:
        maker = GrantTable.create(3)
        maker.write(0, Grant(1, has_zeros=False, digest=b"0123456789abcdef"))
    fd = os.dup(maker.fd)
    size = os.fstat(fd).st_size
    before = os.pread(fd, size, 0)
    yield fd
    assert os.fstat(fd).st_size == size
    assert os.pread(fd, size, 0) == before
    os.close(fd)
    maker.close()


def map_to_write(fd: int) -> None:
    mmap.mmap(fd, PAGE, prot=mmap.PROT_READ | mmap.PROT_WRITE).close()


def map_anew_to_write(fd: int) -> None:
    """Open it once more, by the name that it has in /proc, and map that."""
    again = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)
    try:
        map_to_write(again)
    finally:
        os.close(again)


def make_a_mapping_writable(fd: int) -> None:
    """Map it to read, and ask for more afterwards."""
    page = mmap.mmap(fd, PAGE, prot=mmap.PROT_READ)
    try:
        if libc.mprotect(_address_of(fd), PAGE, mmap.PROT_READ | mmap.PROT_WRITE):
            raise OSError(ctypes.get_errno(), "mprotect")
    finally:
        page.close()


def _address_of(fd: int) -> int:
    """Return the address of a descriptor's read-only mapping."""
    inode = str(os.fstat(fd).st_ino)
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines()]
    (address,) = [words[0] for words in lines if words[4] == inode and words[1] == "r--s"]
    return int(address.partition("-")[0], 16)


WAYS: dict[str, Callable[[int], object]] = {
    "map it to write": map_to_write,
    "open it anew and map it to write": map_anew_to_write,
    "make a mapping writable": make_a_mapping_writable,
    "write": lambda fd: os.pwrite(fd, b"x", 0),
    "cut it off": lambda fd: os.ftruncate(fd, 0),
    "make it longer": lambda fd: os.ftruncate(fd, 1 << 30),
    "punch a hole": lambda fd: fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 0, PAGE),
    "take the seals off": lambda fd: fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_consumer_can_only_read(handed: int, way: str) -> None:
    """The kernel refuses all ways to change what others copy from, or to make it go away."""
    with pytest.raises(OSError, match=r".") as refused:
        WAYS[way](handed)

    assert refused.value.errno in (errno.EPERM, errno.EACCES)


def test_what_the_producer_writes_is_seen() -> None:
    """The mapping that it made before the seal stays its own to write."""
    memory = Memory(3, 2 * PAGE)
    seen = ReadOnlyMemory(os.dup(memory.fd), 3, 2 * PAGE)
    for slot in range(3):
        memory.slot(slot)[:] = bytes([slot]) * 2 * PAGE

    assert [bytes(seen.slot(slot)) for slot in range(3)] == [bytes([slot]) * 2 * PAGE for slot in range(3)]
    assert seen.view.readonly
    seen.close()
    memory.close()


def test_a_view_outlives_its_producer() -> None:
    """A write to a target that is under way when the producer goes has memory to write from."""
    memory = Memory(1, PAGE)
    memory.slot(0)[:] = b"v" * PAGE
    seen = ReadOnlyMemory(os.dup(memory.fd), 1, PAGE)
    view = seen.slot(0)
    memory.close()
    seen.close()

    assert bytes(view) == b"v" * PAGE


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
@pytest.mark.parametrize(
    "make", [lambda: Memory(2, PAGE), lambda: GrantTable.create(3)], ids=["slots", "table"]
)
def test_a_filter_forbids_shared_memory(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], object], number: int
) -> None:
    """One line says which system call a container or service has to permit."""

    def forbidden(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "memfd_create", forbidden)
    with pytest.raises(UnusableError, match=r"memfd_create\(2\): .*; permit it"):
        make()
