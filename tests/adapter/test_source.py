"""Sources read into page-aligned memory, and around bad places."""

import errno
import mmap
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.errors import UnusableError
from fanoutfs.source import salvage
from fanoutfs.source.bad_map import BadMap
from fanoutfs.source.contract import SlowError, Source
from fanoutfs.source.counters import Counters
from fanoutfs.source.local import PositionedSource
from fanoutfs.source.pieces import LEAST, Pieces
from fanoutfs.source.salvage import BadRanges, Salvage
from fanoutfs.units import MIB, PAGE
from tests.noise import noise
from tests.page_cache import cached_pages
from tests.scratched import Scratched

BLOCK = 4 * PAGE


def slots_for(length: int) -> list[memoryview]:
    count = -(-length // BLOCK)
    memory = memoryview(mmap.mmap(-1, count * BLOCK))
    return [memory[i * BLOCK : (i + 1) * BLOCK] for i in range(count)]


def salvaged(
    source: Source, offset: int, length: int, slots: list[memoryview], counters: Counters, pieces: Pieces
) -> BadRanges:
    return Salvage(source, counters, pieces, BadMap(source.size)).read(offset, length, slots).bad


def joined(slots: list[memoryview], length: int) -> bytes:
    return b"".join(slots)[:length]


def make_image(folder: Path, size: int) -> tuple[Path, bytes]:
    content = noise(size)
    path = folder / "image"
    path.write_bytes(content)
    return path, content


@pytest.mark.parametrize("size", [1, 511, 512, 513, PAGE, PAGE + 1, BLOCK - 1, BLOCK, 3 * BLOCK + 1234])
@pytest.mark.parametrize("folder", ["/dev/shm", "/var/tmp"])
def test_any_size_is_exact(folder: str, size: int, path_in: Callable[[str], Path]) -> None:
    """Sizes that are no multiple of a block, a page or a sector come whole, buffered and with O_DIRECT."""
    path, content = path_in(folder), noise(size)
    path.write_bytes(content)
    source = PositionedSource.open(str(path))
    for begin in range(0, size, BLOCK):
        length = size - begin
        slots = slots_for(length)
        source.read_into(begin, length, slots)
        assert joined(slots, length) == content[begin:]
    assert source.size == size
    source.close()


def test_a_source_that_shrank_is_an_error(tmp_path: Path) -> None:
    """Never zeros for what is no longer there: not at a page's border, not within one."""
    path, _ = make_image(tmp_path, 3 * BLOCK)
    source = PositionedSource.open(str(path))
    for size in (2 * BLOCK, BLOCK + 100, 100, 0):
        os.truncate(path, size)
        with pytest.raises(OSError, match="ends") as failure:
            source.read_into(0, 3 * BLOCK, slots_for(3 * BLOCK))
        assert failure.value.errno == errno.EIO
    source.close()


def test_a_source_whose_server_has_died_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What close(2) says of it then is no error: nothing was written, and the descriptor is free."""
    (tmp_path / "source").write_bytes(bytes(PAGE))
    source = PositionedSource.open(str(tmp_path / "source"))
    (fd,) = source.descriptors()
    close = os.close

    def close_and_fail(descriptor: int) -> None:
        close(descriptor)
        raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))

    with monkeypatch.context() as patched:
        patched.setattr(os, "close", close_and_fail)
        source.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_two_names_of_one_file_are_one_source(tmp_path: Path) -> None:
    """A link to it, and a link to its name, have the same identity; another file has not."""
    path, _ = make_image(tmp_path, 100)
    (tmp_path / "hard").hardlink_to(path)
    (tmp_path / "soft").symlink_to(path)
    (tmp_path / "other").write_bytes(b"x")

    identities = []
    for name in ("image", "hard", "soft", "other"):
        source = PositionedSource.open(str(tmp_path / name))
        identities.append(source.identity)
        source.close()

    assert len(set(identities[:3])) == 1
    assert identities[3] not in identities[:3]


@pytest.mark.parametrize(("name", "why"), [("missing", "no such file"), (".", "a folder"), ("empty", "empty"),
                                           ("/proc/cpuinfo", "has no size"),
                                           ("pipe", "neither a disk nor a file")])  # fmt: skip
def test_what_cant_be_a_source_is_refused_with_the_reason(tmp_path: Path, name: str, why: str) -> None:
    """One line that says which and why."""
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(UnusableError, match=why):
        PositionedSource.open(str(tmp_path / name))


def test_buffered_reads_leave_nothing_in_the_page_cache() -> None:
    """Where O_DIRECT is refused, what was read is dropped.

    It is advice: a page that is just in other hands stays, so that one read of several has to show it.
    """
    with tempfile.TemporaryDirectory(prefix="fanoutfs-test-", dir="/var/tmp") as folder:
        path, content = make_image(Path(folder), 64 * PAGE)
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        before = cached_pages(fd)
        source = PositionedSource.open(str(path))
        source._go_buffered()
        slots = slots_for(len(content))
        left = []
        for _ in range(10):
            source.read_into(0, len(content), slots)
            left.append(cached_pages(fd))
        source.close()
        os.close(fd)

    assert before == list(range(64))
    assert joined(slots, len(content)) == content
    assert [] in left


@given(st.frozensets(st.integers(0, 12)), st.integers(1, 13 * PAGE))
def test_around_bad_pages_everything_else_is_had(bad: frozenset[int], size: int) -> None:
    """Just the bad pages are named, in their blocks, and every other byte is right."""
    source = Scratched(noise(size), bad)
    slots = slots_for(size)
    statistics = Counters()

    ranges = salvaged(source, 0, size, slots, statistics, Pieces())

    named = {
        (block * BLOCK + at) // PAGE
        for block, found in ranges.items()
        for begin, end in found
        for at in range(begin, end)
    }
    pages = {page for page in bad if page * PAGE < size}
    assert named == pages
    got = joined(slots, size)
    for page in range(-(-size // PAGE)):
        if page not in pages:
            assert got[page * PAGE : (page + 1) * PAGE] == source.content[page * PAGE : (page + 1) * PAGE]
    assert statistics.bytes_read + sum(min(PAGE, size - page * PAGE) for page in pages) == size
    assert (statistics.errors > 0) == bool(pages)


@attrs.define(eq=False)
class Slow(Scratched):
    """A source that answers no request of more than 64 KiB in time."""

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        if length > LEAST:
            raise SlowError
        Scratched.read_into(self, offset, length, slots)


@pytest.mark.parametrize("bad", [frozenset[int](), frozenset([40])])
def test_a_source_that_has_become_slow_is_read_in_pieces(bad: frozenset[int]) -> None:
    """What was not answered in time is requested again in pieces, and counted as it arrives."""
    size = 60 * PAGE + 17
    source = Slow(noise(size), bad)
    slots = slots_for(size)
    statistics = Counters()

    ranges = salvaged(source, 0, size, slots, statistics, Pieces(MIB))

    got = joined(slots, size)
    for page in {*range(61)} - bad:
        assert got[page * PAGE : (page + 1) * PAGE] == source.content[page * PAGE : (page + 1) * PAGE]
    assert sum(end - begin for found in ranges.values() for begin, end in found) == len(bad) * PAGE
    assert statistics.bytes_read == size - len(bad) * PAGE


def test_the_search_for_bad_pages_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails slowly delays readers for a limited time: the rest of the run counts as bad."""
    monkeypatch.setattr(salvage, "SEARCH_SECONDS", 0.0)
    source = Scratched(bytes(2 * BLOCK), frozenset([7]))

    ranges = salvaged(source, 0, 2 * BLOCK, slots_for(2 * BLOCK), Counters(), Pieces())

    assert ranges == {0: [(0, BLOCK)], 1: [(0, BLOCK)]}
    assert source.reads == 1
