"""A target read back whole, and what is said of where it differs."""

import errno
import hashlib
import mmap
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.digests.digest import digest
from fanoutfs.errors import TargetError
from fanoutfs.layout import Layout, Only
from fanoutfs.targets import verify as verifying
from fanoutfs.targets.target import Target
from fanoutfs.targets.verify import Verified, difference_message, verify
from fanoutfs.units import MIB, PAGE
from tests.adapter.copies import open_target
from tests.limits import HANG_SECONDS
from tests.noise import noise


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read so little at a time that small images take several reads."""
    monkeypatch.setattr(verifying, "CHUNK", 3 * PAGE)


def digests_of(content: bytes, block: int) -> bytes:
    view = memoryview(content)
    return b"".join(digest(view[at : at + block]) for at in range(0, len(content), block))


def verified(path: Path, content: bytes, block: int = PAGE) -> tuple[Verified, list[int]]:
    """Verify what is at ``path`` against ``content``; gives what was found and what progress was told."""
    told: list[int] = []
    made = open_target(path, len(content), block=block)
    try:
        return verify(made, digests_of(content, block), Layout.whole(len(content), block), told.append), told
    finally:
        made.close()


@pytest.mark.parametrize("size", [1, PAGE - 1, PAGE, 3 * PAGE, 3 * PAGE + 1, 6 * PAGE, 10 * PAGE + 511])
@pytest.mark.parametrize("block", [PAGE, 2 * PAGE, 4 * PAGE])
@pytest.mark.parametrize("folder", ["/dev/shm", "/var/tmp"])
def test_a_right_copy_has_no_difference(
    folder: str, block: int, size: int, path_in: Callable[[str], Path]
) -> None:
    """And the SHA-256 of its source: of any size, blocks smaller or larger than what is read at once."""
    path, content = path_in(folder), noise(size)
    path.write_bytes(content)
    found, told = verified(path, content, block)

    assert Verified(hashlib.sha256(content).hexdigest(), ()) == found
    assert sorted(set(told)) == told
    assert size == told[-1]


@pytest.mark.parametrize("threads", [0, 1])
def test_a_limit_of_threads(threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is the same with one thread or none beside the one that asks."""
    start, content = threading.Thread.start, noise(10 * PAGE + 511)
    started: list[threading.Thread] = []

    def start_some(thread: threading.Thread) -> None:
        if len(started) == threads:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    (tmp_path / "target").write_bytes(content[:PAGE] + b"x" + content[PAGE + 1 :])
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start_some)
        found, told = verified(tmp_path / "target", content)

    assert ((PAGE, PAGE),) == found.differences
    assert hashlib.sha256((tmp_path / "target").read_bytes()).hexdigest() == found.sha256
    assert len(content) == told[-1]
    assert threads == len(started)
    assert not any(thread.is_alive() for thread in started)


def test_what_lies_behind_the_image_does_not_count(tmp_path: Path) -> None:
    """A disk may be larger than the image."""
    content = noise(5 * PAGE + 100)
    (tmp_path / "target").write_bytes(content + b"more")

    found, _ = verified(tmp_path / "target", content)

    assert Verified(hashlib.sha256(content).hexdigest(), ()) == found


@given(st.sets(st.integers(0, 10)), st.integers(0, PAGE - 1), st.data())
def test_flipped_bits_are_found(blocks: set[int], short: int, data: st.DataObject) -> None:
    """One bit in any of the blocks: just these are named, those that adjoin as one, the last as it is."""
    path = Path("/dev/shm") / f"fanoutfs-verify-{os.getpid()}"
    content = bytes(11 * PAGE - short)
    spoilt = bytearray(content)
    for number in blocks:
        length = min(PAGE, len(content) - number * PAGE)
        at = number * PAGE + data.draw(st.integers(0, length - 1))
        spoilt[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(spoilt)
    try:
        found, _ = verified(path, content)
    finally:
        path.unlink()

    named = [range(offset, offset + length) for offset, length in found.differences]
    assert {at // PAGE for each in named for at in each[::PAGE]} == blocks
    assert sum(map(len, named)) == sum(min(PAGE, len(content) - number * PAGE) for number in blocks)
    assert not {each.start for each in named} & {each.stop for each in named}
    assert hashlib.sha256(spoilt).hexdigest() == found.sha256


def test_a_place_that_cant_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is named, not only where the read began, and no thread goes on reading."""
    content = noise(12 * PAGE)
    (tmp_path / "target").write_bytes(content)
    threads = set(threading.enumerate())
    preadv = os.preadv

    def bad(fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        if offset + sum(map(len, buffers)) > 7 * PAGE:
            raise OSError(errno.EIO, "Input/output error")
        return preadv(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", bad)
    with pytest.raises(TargetError, match=f"read back at byte {7 * PAGE}: input/output error"):
        verified(tmp_path / "target", content)

    # Others may have ended meanwhile: those that trio keeps for a while after an earlier test.
    assert threads >= set(threading.enumerate())


def test_reading_and_hashing_go_on_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next chunk is asked for before the one before it is reported as done."""
    content = noise(9 * PAGE)
    (tmp_path / "target").write_bytes(content)
    asked: list[int] = []
    read_into = Target.read_into
    second = threading.Event()

    def noting(self: Target, offset: int, buffer: memoryview) -> None:
        asked.append(offset)
        if offset == 3 * PAGE:
            second.set()
        read_into(self, offset, buffer)

    monkeypatch.setattr(Target, "read_into", noting)
    made = open_target(tmp_path / "target", len(content), block=PAGE)
    begun: list[bool] = []
    verify(
        made,
        digests_of(content, PAGE),
        Layout.whole(len(content), PAGE),
        lambda _: begun.append(second.wait(HANG_SECONDS)),
    )
    made.close()

    assert [True] * 3 == begun
    assert [0, 3 * PAGE, 6 * PAGE] == asked


def test_blocks_that_were_not_read_are_compared_with_zeros(tmp_path: Path) -> None:
    """A disk that acknowledges zeros, and keeps what it had, is found out; blocks outside are not read."""
    content = noise(9 * PAGE + 5)
    layout = Layout.of(
        len(content), PAGE, [(0, 2 * PAGE), (8 * PAGE, PAGE)], Only([(0, 6 * PAGE), (8 * PAGE, 2 * PAGE)])
    )
    (tmp_path / "target").write_bytes(content)
    made = open_target(tmp_path / "target", len(content), block=PAGE)
    read = b"".join(digests_of(content[at : at + PAGE], PAGE) for at in (0, PAGE, 8 * PAGE))
    told: list[int] = []
    found = verify(made, read, layout, told.append)
    made.close()

    assert found == Verified(None, ((2 * PAGE, 4 * PAGE), (9 * PAGE, 5)))
    assert told == [3 * PAGE, 6 * PAGE, 7 * PAGE + 5]


def test_memory_does_not_grow_with_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two chunks of it, or two blocks where these are larger."""
    content = noise(50 * PAGE)
    (tmp_path / "target").write_bytes(content)
    taken: list[int] = []
    real = mmap.mmap

    def noting(fd: int, length: int) -> mmap.mmap:
        taken.append(length)
        return real(fd, length)

    monkeypatch.setattr(mmap, "mmap", noting)
    verified(tmp_path / "target", content, 5 * PAGE)

    assert [5 * PAGE] * 2 == [length for length in taken if length > PAGE]


def test_one_difference_is_named() -> None:
    """With its place and length, and what to do."""
    assert (
        "the target /dev/sdc does not give back what was written: 1048576 bytes at byte 5242880; "
        "write these again with --resume --verify, and if it happens again replace it"
    ) == difference_message("/dev/sdc", [(5 * MIB, MIB)])


def test_many_differences_are_counted() -> None:
    """The first few are named; the line stays a line."""
    ranges = [(10 * number * MIB, MIB) for number in range(1, 6)]

    line = difference_message("copy.img", ranges)

    assert (
        "1048576 bytes at byte 10485760, 1048576 bytes at byte 20971520, 1048576 bytes at byte 31457280 "
        "and 2 more places (5242880 bytes in 5 places)"
    ) in line
    assert "and 1 more place (" in difference_message("copy.img", ranges[:4])
    assert "10485760 and 1048576 bytes at byte 20971520 (2097152 bytes in 2" in difference_message(
        "x", ranges[:2]
    )
