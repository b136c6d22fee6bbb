"""The spool: what was read once is not read again, and is right."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanoutfs.errors import UnusableError
from fanoutfs.source import spool
from fanoutfs.source.contract import LostError, Source
from fanoutfs.source.faulty import FaultySource
from fanoutfs.source.pipe_source import PipeSource
from fanoutfs.source.spool import Spool
from fanoutfs.source.wrapper import find_layer
from fanoutfs.units import PAGE
from tests.noise import noise
from tests.pipes import open_pipe, read, written
from tests.scratched import Scratched

SIZE = 16 * PAGE + 100
CONTENT = noise(SIZE)


@attrs.define(eq=False)
class Counting(Scratched):
    """A source that counts how often each byte of it is read."""

    pages: list[int] = attrs.field(factory=list)

    def read_into(self, offset: int, length: int, slots: list[memoryview]) -> None:
        super().read_into(offset, length, slots)
        self.pages += range(offset // PAGE, -(-(offset + length) // PAGE))


def spooled(source: Source, folder: Path | str) -> Spool:
    return Spool.around(source, Path(folder))


READS = st.lists(st.tuples(st.integers(0, 16), st.integers(1, 17)), min_size=1, max_size=12)


@given(reads=READS)
def test_each_byte_is_read_once_in_any_order(reads: list[tuple[int, int]]) -> None:
    """Reads that overlap, adjoin, or repeat one another get the right bytes."""
    source = Counting(CONTENT)
    kept = spooled(source, "/dev/shm")
    for page, count in reads:
        offset = page * PAGE
        length = min(count * PAGE, SIZE - offset)
        assert read(kept, offset, length) == CONTENT[offset : offset + length]

    assert len(source.pages) == len(set(source.pages))
    assert kept.taken == kept.kept == sum(min(PAGE, SIZE - page * PAGE) for page in source.pages)
    kept.close()


@pytest.mark.parametrize("has_tmpfile", [True, False], ids=["O_TMPFILE", "as on NFS"])
def test_the_file_has_no_name(has_tmpfile: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So nothing stays of it, however this process ends."""
    opened = os.open

    def refusing(path: str, flags: int, *rest: int, **options: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return opened(path, flags, *rest, **options)

    if not has_tmpfile:
        monkeypatch.setattr(os, "open", refusing)
    kept = spooled(Scratched(CONTENT), tmp_path)
    read(kept, 0, SIZE)

    assert [] == list(tmp_path.iterdir())
    assert os.fstat(kept.descriptors()[-1]).st_blocks > 0
    kept.close()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """One line, and the source is closed."""
    source, end = open_pipe()

    with pytest.raises(UnusableError, match=r"no spool can be made in .*/none: no such file"):
        spooled(source, tmp_path / "none")

    with pytest.raises(BrokenPipeError):
        os.write(end, b"x")
    os.close(end)


def full_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the spool's disk take no more than ``count`` writes."""
    write, left = os.pwritev, [count]

    def pwritev(fd: int, pieces: list[memoryview], offset: int) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        return write(fd, pieces, offset)

    monkeypatch.setattr(os, "pwritev", pwritev)


def test_a_full_disk_is_said_once_and_the_source_is_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What is in the spool already is still read from there."""
    full_after(1, monkeypatch)
    source = Counting(CONTENT)
    kept = spooled(source, tmp_path)
    for _ in range(2):
        for page in range(4):
            assert read(kept, page * PAGE, PAGE) == CONTENT[page * PAGE : (page + 1) * PAGE]

    assert source.pages == [0, 1, 2, 3, 1, 2, 3]
    assert ["no space left on device" in record.message for record in caplog.records] == [True]
    assert kept.trouble == "no space left on device"
    kept.close()


def test_what_the_spool_lost_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A spool's disk can break, too."""
    source = Counting(CONTENT)
    kept = spooled(source, tmp_path)
    read(kept, 0, SIZE)
    os.ftruncate(kept.descriptors()[-1], PAGE)

    assert read(kept, 0, SIZE) == CONTENT
    assert "can't be read at byte 4096" in caplog.text
    kept.close()


def test_a_pipe_is_read_on_into_the_spool(tmp_path: Path) -> None:
    """A reader of its end gets it, and then one of its beginning, and the pipe was read once."""
    source = written(CONTENT)
    kept = spooled(source, tmp_path)

    assert read(kept, 14 * PAGE, PAGE) == CONTENT[14 * PAGE : 15 * PAGE]
    assert read(kept, 0, SIZE) == CONTENT
    assert kept.taken == source.consumed == SIZE
    kept.close()


def test_what_can_be_read_of_a_pipe_and_its_spool_without_a_wait(tmp_path: Path) -> None:
    """All that came, in the spool or in the pipe; nothing beyond."""
    source, end = open_pipe()
    kept = spooled(source, tmp_path)
    os.write(end, CONTENT[: 3 * PAGE])
    read(kept, 0, PAGE)

    assert [4 * PAGE, 3 * PAGE, 2 * PAGE, 0] == [
        kept.prefetch(0, PAGE) * 4, kept.prefetch(0, 9 * PAGE), kept.prefetch(PAGE, 9 * PAGE),
        kept.prefetch(5 * PAGE, PAGE)]  # fmt: skip
    os.write(end, CONTENT[3 * PAGE : 6 * PAGE])
    assert kept.prefetch(5 * PAGE, PAGE) == PAGE
    assert read(kept, 5 * PAGE, PAGE) == CONTENT[5 * PAGE : 6 * PAGE]
    kept.close()
    os.close(end)


def test_a_full_disk_loses_nothing_that_was_read_ahead_of_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers in order get all; one ahead gets an error; what went by since is gone."""
    monkeypatch.setattr(spool, "STEP", PAGE)
    full_after(2, monkeypatch)
    source = written(CONTENT)
    kept = spooled(source, tmp_path)

    with pytest.raises(LostError) as failure:
        read(kept, 8 * PAGE, PAGE)
    assert failure.value.errno == errno.ESPIPE
    assert b"".join(read(kept, page * PAGE, PAGE) for page in range(4)) == CONTENT[: 4 * PAGE]
    assert read(kept, 0, 2 * PAGE) == CONTENT[: 2 * PAGE]
    with pytest.raises(LostError, match="is gone"):
        read(kept, 2 * PAGE, PAGE)
    kept.close()


def test_the_size_of_a_pipe_is_learnt_by_reading_it(tmp_path: Path) -> None:
    """Then every byte is in the spool."""
    kept = spooled(written(CONTENT), tmp_path)
    seen: list[int] = []
    kept.learn_size(seen.append)

    assert (kept.size, seen[-1], kept.kept) == (SIZE, SIZE, SIZE)
    assert read(kept, 0, SIZE) == CONTENT
    kept.close()


@pytest.mark.parametrize(
    ("breaks", "line"),
    [
        (lambda _: "xz: unexpected end of input", "the pipe -: xz: unexpected end of input"),
        (lambda monkeypatch: full_after(0, monkeypatch), "has no room for the source -"),
    ],
    ids=["the program fails", "the disk is full"],
)
def test_a_size_that_can_not_be_learnt(
    breaks: Callable[[pytest.MonkeyPatch], str | None],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One line, and nothing is shown of what came."""
    source = written(CONTENT)
    if why := breaks(monkeypatch):
        source.why = lambda: why
    kept = spooled(source, tmp_path)

    with pytest.raises(UnusableError, match=line):
        kept.learn_size(lambda _: None)
    kept.close()


def test_a_pipe_that_fails_while_it_is_read_ahead() -> None:
    """The read itself says why, or the one that learns the size."""
    kept = spooled(FaultySource(written(CONTENT), f"eio@{2 * PAGE}"), "/dev/shm")

    assert kept.prefetch(4 * PAGE, PAGE) == PAGE
    with pytest.raises(OSError, match="a fault of the recipe"):
        read(kept, 4 * PAGE, PAGE)
    with pytest.raises(UnusableError, match="a fault of the recipe"):
        kept.learn_size(lambda _: None)
    kept.close()


def test_the_pipe_in_a_source() -> None:
    """What is around it does not hide it."""
    source, end = open_pipe()
    kept = FaultySource(spooled(FaultySource(source, "delay=1ms"), "/dev/shm"), "delay=1ms")

    assert source is find_layer(source, PipeSource) is find_layer(kept, PipeSource)
    assert kept.source is find_layer(kept, Spool)
    assert find_layer(Scratched(b"x"), PipeSource) is None
    kept.close()
    os.close(end)
