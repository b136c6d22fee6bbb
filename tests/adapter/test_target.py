"""What a copy writes to: right bytes at their own offsets, block 0 last, and errors that name the place."""

import errno
import fcntl
import mmap
import os
import random
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.errors import TargetError
from fanoutfs.system import write_behind
from fanoutfs.system.syscalls import WAIT_AFTER, fallocate, sync_file_range
from fanoutfs.targets import descriptor, target
from fanoutfs.targets.target import NotBegunError
from fanoutfs.units import PAGE
from tests.adapter.copies import BLOCK, blocks, copied, copy, in_ring, open_target
from tests.noise import noise
from tests.page_cache import cached_pages

SIZE = 4 * BLOCK

Journal = list[tuple[str, int]]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "target"


@pytest.fixture
def image() -> memoryview:
    return in_ring(noise(SIZE))


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Journal:
    """Record each write with its offset, and each flush of a file or of a folder."""
    entries: Journal = []
    pwritev, fsync = os.pwritev, os.fsync

    def noting_pwritev(fd: int, pieces: Sequence[memoryview], offset: int) -> int:
        entries.append(("write", offset))
        return pwritev(fd, pieces, offset)

    def noting_fsync(fd: int) -> None:
        entries.append(("flush folder" if Path(f"/proc/self/fd/{fd}").is_dir() else "flush", 0))
        fsync(fd)

    monkeypatch.setattr(os, "pwritev", noting_pwritev)
    monkeypatch.setattr(os, "fsync", noting_fsync)
    return entries


def failing(number: int) -> Callable[..., int]:
    """Return a system call that fails with this errno."""

    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    return fail


def is_direct(fd: int) -> bool:
    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT)


def summary(data: bytes | None) -> str:
    """Return a short text for bytes, for Hypothesis warns of a long one."""
    return "None" if data is None else f"{len(data)} bytes, CRC {zlib.crc32(data):08x}"


@attrs.frozen
class Case:
    """A copy of an image onto what the target had before; None for a target that does not exist."""

    image: bytes = attrs.field(repr=summary)
    old: bytes | None = attrs.field(repr=summary)
    how: dict[str, Any]
    """Arguments of ``copied``."""

    @property
    def to_write(self) -> int:
        """Bytes that have to be written: with --resume wrong blocks, and block 0 once another was wrong."""
        old = (self.old or b"")[: len(self.image)].ljust(len(self.image), b"\0")
        cuts = range(0, len(self.image), BLOCK)
        resume, sparse = self.how["resume"], self.how["sparse"]
        todo = [at for at in cuts if not resume or self.image[at : at + BLOCK] != old[at : at + BLOCK]]
        if todo:
            todo = sorted({0, *todo})
        pieces = [self.image[at : at + BLOCK] for at in todo]
        return sum(len(piece) for piece in pieces if not sparse or any(piece))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw images of up to four blocks, the last perhaps short, and targets absent, junk or half right."""
    content = random.Random(draw(st.integers(0, 1000)))
    kinds = draw(st.lists(st.booleans(), min_size=1, max_size=4))
    short = draw(st.sampled_from([0, 0, 1, 511, 512, 513, PAGE - 1, PAGE, PAGE + 512, BLOCK - 1]))
    image = b"".join(content.randbytes(BLOCK) if kind else bytes(BLOCK) for kind in kinds)
    size = len(image) - short
    spoilt = bytearray(image)
    for number in draw(st.sets(st.integers(0, len(kinds) - 1))):
        spoilt[number * BLOCK : (number + 1) * BLOCK] = content.randbytes(BLOCK)
    junk = content.randbytes(size + 777)
    old = draw(st.sampled_from([None, b"", junk, junk[:size], junk[: size // 2], bytes(spoilt[:size])]))
    how = {
        "start": draw(st.integers(0, len(kinds) - 1)),
        "runs": draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)),
        **{name: draw(st.booleans()) for name in ("sparse", "resume", "direct")},
    }
    return Case(image[:size], old, how)


@pytest.mark.parametrize("folder", ["/dev/shm", "/var/tmp"])
def test_any_copy_is_exact(folder: str, path_in: Callable[[str], Path]) -> None:
    """Any image, order, way and former content: byte-equal, of its size, and no more written than must be."""
    path = path_in(folder)

    @given(cases())
    def exact(case: Case) -> None:
        path.unlink(missing_ok=True)
        if case.old is not None:
            path.write_bytes(case.old)
        made = copied(path, in_ring(case.image), **case.how)

        assert case.image == path.read_bytes()
        assert case.to_write == made.written

    exact()


def test_block_0_comes_last(path: Path, image: memoryview, journal: Journal) -> None:
    """Zeros there are durable before the first other write, and all other blocks before block 0 itself."""
    path.write_bytes(noise(SIZE))
    made = open_target(path, SIZE)
    made.prepare(keep=False)
    wiped = path.read_bytes()[:BLOCK]
    made.write(2 * BLOCK, blocks(image, 2, 4))
    made.write(BLOCK, blocks(image, 1, 2))
    before = path.read_bytes()[:BLOCK]
    made.finish(image[:BLOCK])
    made.close()

    assert bytes(BLOCK) == wiped == before
    flush = ("flush", 0)
    assert [
        ("write", 0), flush, ("write", 2 * BLOCK), ("write", BLOCK), flush, ("write", 0), flush,
    ] == journal  # fmt: skip


def test_a_new_file_is_in_its_folder_before_it_looks_whole(
    path: Path, image: memoryview, journal: Journal
) -> None:
    """Its name is made durable, too; no zeros are written to it, for it consists of them."""
    copied(path, image, runs=[4])

    assert [
        ("flush", 0), ("write", BLOCK), ("flush", 0), ("flush folder", 0), ("write", 0), ("flush", 0),
    ] == journal  # fmt: skip


def test_a_resumed_copy_that_was_whole_is_left_alone(path: Path, image: memoryview, journal: Journal) -> None:
    """Nothing is written; what an earlier copy had written is flushed all the same."""
    path.write_bytes(image)
    made = copied(path, image, resume=True)

    assert ([("flush", 0)], 0) == (journal, made.written)


def test_block_0_is_wiped_once(path: Path, image: memoryview, journal: Journal) -> None:
    """With --resume only when it isn't zeros yet, and not again for the next block that differs."""
    path.write_bytes(image)
    made = open_target(path, SIZE)
    made.prepare(keep=True)
    untouched = list(journal)
    for _ in range(3):
        made.wipe_first()
    once = list(journal)
    made.close()
    again = open_target(path, SIZE)
    again.wipe_first()
    again.close()

    assert [] == untouched
    assert [("write", 0), ("flush", 0)] == once == journal


def test_what_cant_be_read_back_differs(
    path: Path, image: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just the block with the bad sector, though all are read in one go; and block 0 is wiped unread."""
    path.write_bytes(image)
    made = open_target(path, SIZE)
    preadv = os.preadv

    def bad(fd: int, buffers: Sequence[memoryview], offset: int) -> int:
        end = offset + sum(map(len, buffers))
        if offset < 3 * BLOCK and (end > 2 * BLOCK or end == BLOCK):
            raise OSError(errno.EIO, "Input/output error")
        return preadv(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", bad)
    found = made.differing(0, blocks(image, 0, 4))
    made.wipe_first()
    made.close()

    assert [0, 2] == found
    assert bytes(BLOCK) + image[BLOCK:] == path.read_bytes()


@pytest.mark.parametrize("direct", [False, True])
def test_a_write_that_is_taken_in_part_is_gone_on_with(
    direct: bool, image: memoryview, path_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little the kernel takes at a time, and though the rest is no longer aligned for O_DIRECT."""
    path = path_in("/var/tmp")
    pwritev = os.pwritev

    def little(fd: int, pieces: Sequence[memoryview], offset: int) -> int:
        if not is_direct(fd):
            return pwritev(fd, [pieces[0][:1000]], offset)
        if offset % 512:
            raise OSError(errno.EINVAL, "Invalid argument")
        return os.pwrite(other, pieces[0][:1000], offset)

    monkeypatch.setattr(os, "pwritev", little)
    path.touch()
    other = os.open(path, os.O_WRONLY)
    copied(path, image, direct=direct, runs=[3])
    os.close(other)

    assert image == path.read_bytes()


def test_where_o_direct_is_refused_at_a_write_it_goes_without(
    path: Path, image: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once refused it isn't tried again."""
    tries = []
    pwritev = os.pwritev

    def refusing(fd: int, pieces: Sequence[memoryview], offset: int) -> int:
        tries.append(is_direct(fd))
        if tries[-1]:
            raise OSError(errno.EINVAL, "Invalid argument")
        return pwritev(fd, pieces, offset)

    monkeypatch.setattr(os, "pwritev", refusing)
    copied(path, image, direct=True, runs=[1])

    assert image == path.read_bytes()
    assert [True, False, False, False, False] == tries


def test_only_the_odd_end_goes_without_o_direct(
    path: Path, image: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image's last bytes that are no whole page; all before them, and block 0 after them, go with it."""
    tries = []
    pwritev = os.pwritev

    def noting(fd: int, pieces: Sequence[memoryview], offset: int) -> int:
        tries.append((offset, sum(map(len, pieces)), is_direct(fd)))
        return pwritev(fd, pieces, offset)

    monkeypatch.setattr(os, "pwritev", noting)
    copied(path, image[:-1], direct=True, runs=[4])

    odd = SIZE - PAGE
    assert image[:-1] == path.read_bytes()
    assert [(BLOCK, odd - BLOCK, True), (odd, PAGE - 1, False), (0, BLOCK, True)] == tries


def test_more_pieces_than_one_call_takes(path: Path) -> None:
    """A run of 2,500 blocks is written in several calls."""
    image = in_ring(noise(2501 * PAGE))
    copied(path, image, block=PAGE, runs=[2501])

    assert image == path.read_bytes()


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (errno.EIO, "input/output error; it may be failing"),
        (errno.ENOSPC, "no space left on device; make room"),
    ],
)
def test_a_failed_write_names_place_and_remedy(
    path: Path, image: memoryview, monkeypatch: pytest.MonkeyPatch, number: int, what: str
) -> None:
    """The very byte from which on nothing was taken, not where the write began."""
    made = open_target(path, SIZE)
    made.prepare(keep=False)
    pwritev = os.pwritev

    def once(fd: int, pieces: Sequence[memoryview], offset: int) -> int:
        monkeypatch.setattr(os, "pwritev", failing(number))
        return pwritev(fd, [pieces[0][:PAGE]], offset)

    monkeypatch.setattr(os, "pwritev", once)
    with pytest.raises(TargetError) as failure:
        made.write(BLOCK, blocks(image, 1, 3))
    made.close()

    line = str(failure.value)
    assert line.startswith(f"the target {path} can't be written at byte {BLOCK + PAGE}: {what}")
    assert "--resume" in line
    assert 1 == failure.value.exit_code


def test_a_write_of_nothing_is_an_error(
    path: Path, image: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that takes no byte and reports no error is not tried for ever."""
    made = open_target(path, SIZE)
    monkeypatch.setattr(os, "pwritev", lambda *_: 0)
    with pytest.raises(TargetError, match=f"at byte {BLOCK}: it accepts no more"):
        made.write(BLOCK, blocks(image, 1, 2))
    made.close()


def test_a_failed_flush_is_an_error(path: Path, image: memoryview, monkeypatch: pytest.MonkeyPatch) -> None:
    """Block 0 is not written then: what lies under it may be missing."""
    made = open_target(path, SIZE)
    made.prepare(keep=False)
    made.write(BLOCK, blocks(image, 1, 4))
    monkeypatch.setattr(os, "fsync", failing(errno.EIO))
    with pytest.raises(TargetError, match="flushed to its disk: input/output error"):
        made.finish(image[:BLOCK])
    made.close()

    assert bytes(BLOCK) == path.read_bytes()[:BLOCK]


def test_a_target_that_ends_early_is_an_error(path: Path, image: memoryview) -> None:
    """The file was truncated while it was being written."""
    made = open_target(path, SIZE)
    copy(made, image, resume=False)
    os.truncate(path, SIZE - PAGE - 100)
    with pytest.raises(TargetError, match=r"read back at byte \d+: it ends there"):
        made.read_into(0, memoryview(bytearray(SIZE)))
    made.close()


def test_a_write_that_fails_later_is_never_taken_for_a_difference(
    path: Path, image: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without O_DIRECT a disk's error comes up once, at whichever call is next: even at one that reads."""
    path.write_bytes(image)
    made = open_target(path, SIZE)
    made._io._reads_direct = False
    monkeypatch.setattr(descriptor, "sync_file_range", failing(errno.EIO))
    with pytest.raises(TargetError, match="can't be written, as was seen at bytes"):
        made.differing(BLOCK, blocks(image, 1, 3))
    made.close()


def test_a_file_system_that_cant_preallocate_is_done_without(
    path: Path, image: memoryview, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written in its place, as the C library's own posix_fallocate does."""
    monkeypatch.setattr(target, "fallocate", failing(errno.EOPNOTSUPP))
    made = open_target(path, SIZE)
    made.prepare(keep=True)

    assert (SIZE, 0) == (path.stat().st_size, path.stat().st_blocks)

    copy(made, image, resume=False)
    made.close()

    assert image == path.read_bytes()


def test_a_disk_that_is_too_full_gets_its_room_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some file systems take what there is before they say that it isn't enough: a new file gives it back."""

    def partly(fd: int, mode: int, offset: int, length: int) -> None:
        fallocate(fd, mode, offset, length // 2)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(target, "fallocate", partly)
    made = open_target(path, SIZE)
    with pytest.raises(
        NotBegunError, match=f"can't be given its {SIZE} bytes: no space left .*; make room .* --sparse"
    ):
        made.prepare(keep=False)
    made.close()

    assert 0 == path.stat().st_blocks


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (errno.ENOSYS, "function not implemented; a file of this kind keeps its length"),
        (errno.EPERM, "operation not permitted; a file of this kind keeps its length"),
        (errno.EFBIG, "file too large; its file system or ulimit -f"),
        (errno.EIO, "input/output error; it may be failing"),
    ],
)
def test_a_file_that_cant_have_the_length_of_the_image(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, what: str
) -> None:
    """Nothing is written then, and the remedy is that of the cause: some files in FUSE keep their length."""
    path.write_bytes(b"old")
    made = open_target(path, SIZE)
    monkeypatch.setattr(os, "ftruncate", failing(number))
    with pytest.raises(NotBegunError, match=f"can't be made {SIZE} bytes long: {what}"):
        made.prepare(keep=False)
    made.close()

    assert b"old" == path.read_bytes()


def test_a_file_is_preallocated_unless_sparse(tmp_path: Path) -> None:
    """So that a full disk is known before the first byte is copied."""
    sizes = []
    for name, sparse in (("full", False), ("sparse", True)):
        made = open_target(tmp_path / name, 1000 * PAGE, sparse=sparse)
        made.prepare(keep=True)
        made.close()
        sizes.append((tmp_path / name).stat().st_blocks * 512)

    assert sizes[0] >= 1000 * PAGE
    assert 0 == sizes[1]


def test_zeros_are_written_where_no_hole_can_be_punched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried once; the zeros count as written."""
    tries = []

    def refusing(*arguments: int) -> None:
        tries.append(arguments)
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(descriptor, "fallocate", refusing)
    path.write_bytes(noise(SIZE - 5))
    made = copied(path, in_ring(bytes(SIZE - 5)), sparse=True)

    assert bytes(SIZE - 5) == path.read_bytes()
    assert (1, SIZE - 5) == (len(tries), made.written)


def test_a_new_file_has_its_holes_without_punching(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is sparse where holes can't be punched, too."""
    monkeypatch.setattr(descriptor, "fallocate", failing(errno.EOPNOTSUPP))
    made = copied(path, in_ring(bytes(SIZE)), sparse=True)

    assert (0, 0) == (path.stat().st_blocks, made.written)
    assert bytes(SIZE) == path.read_bytes()


def test_a_hole_is_no_reason_to_wait_for_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was written, and a length of 0 would mean everything up to the end (sync_file_range(2))."""
    calls: list[tuple[int, ...]] = []
    monkeypatch.setattr(write_behind, "START", 0)
    monkeypatch.setattr(descriptor, "sync_file_range", lambda *arguments: calls.append(arguments))
    path.write_bytes(noise(SIZE))
    made = open_target(path, SIZE, sparse=True)
    made.clear(BLOCK, BLOCK)
    made.close()

    assert [] == calls


def test_a_sparse_copy_gives_the_room_back(path: Path) -> None:
    """A file full of junk has no block left where the image has none but zeros."""
    path.write_bytes(noise(SIZE))
    made = copied(path, in_ring(bytes(SIZE)), sparse=True)

    assert (0, 0) == (path.stat().st_blocks, made.written)


def test_buffered_writes_do_not_pile_up(
    image: memoryview, path_in: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies some way behind was waited for, and is no longer in the page cache."""
    monkeypatch.setattr(write_behind, "START", BLOCK)
    monkeypatch.setattr(write_behind, "LIMIT", 2 * BLOCK)
    waits = []

    def noting(fd: int, offset: int, length: int, flags: int) -> None:
        if flags & WAIT_AFTER:
            waits.append((offset, length))
        sync_file_range(fd, offset, length, flags)

    monkeypatch.setattr(descriptor, "sync_file_range", noting)
    made = open_target(path_in("/var/tmp"), 8 * BLOCK)
    made.prepare(keep=False)
    for number in range(1, 8):
        made.write(number * BLOCK, blocks(image, 0, 1))
    left = cached_pages(made.fd)
    made.close()

    assert [(number * BLOCK, BLOCK) for number in range(1, 6)] == waits
    # Of those five blocks; it is advice, and a page that is just in other hands stays.
    assert len([page for page in left if BLOCK <= page * PAGE < 6 * BLOCK]) < 5 * BLOCK // PAGE


@pytest.mark.parametrize("size", [1, 511, 512, PAGE, PAGE + 1, BLOCK - 1, SIZE - 513])
@pytest.mark.parametrize("folder", ["/dev/shm", "/var/tmp"])
@pytest.mark.parametrize("direct", [False, True])
def test_what_was_written_is_read_back(
    folder: str, size: int, direct: bool, path_in: Callable[[str], Path]
) -> None:
    """Any odd end, with O_DIRECT and without, into no more memory than asked for."""
    path, content = path_in(folder), noise(size)
    path.write_bytes(content)
    made = open_target(path, size)
    made._io._reads_direct = direct
    memory = memoryview(mmap.mmap(-1, SIZE))
    made.read_into(0, memory[:size])
    made.close()

    assert content == memory[:size]
    assert not any(memory[size:])
