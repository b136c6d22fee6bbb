"""Pipes as sources: read once, in order, and an end that is early is an error."""

import errno
import os
import threading
from pathlib import Path

import pytest

from fanoutfs.errors import UnusableError
from fanoutfs.source.contract import LostError
from fanoutfs.source.pipe_source import PipeSource
from fanoutfs.units import ANY_SIZE, MIB, PAGE
from tests.noise import noise
from tests.pipes import open_pipe, read, written

CONTENT = noise(3 * MIB + 1234)


def test_what_comes_in_order_is_what_was_written() -> None:
    """In reads of any size, larger than what the pipe holds, up to an end that was not known."""
    source = written(CONTENT)
    found = read(source, 0, 100) + read(source, 100, 2 * MIB)
    rest = source.prefetch(len(found), MIB + PAGE, None)
    found += read(source, len(found), rest)

    assert found == CONTENT
    assert source.prefetch(len(found), PAGE) == 0
    assert (source.size, source.trouble, source.consumed) == (len(CONTENT), None, len(CONTENT))
    source.close()


@pytest.mark.parametrize("offset", [0, PAGE // 2, 2 * PAGE], ids=["the first byte", "a byte before", "ahead"])
def test_what_is_not_next_is_gone_or_not_there_yet(offset: int) -> None:
    """It is an error that says so, and the pipe is not read for it."""
    source = written(CONTENT)
    read(source, 0, PAGE)

    with pytest.raises(LostError) as failure:
        read(source, offset, PAGE)

    assert failure.value.errno == errno.ESPIPE
    assert read(source, PAGE, PAGE) == CONTENT[PAGE : 2 * PAGE]
    source.close()


def test_a_pipe_that_ends_before_its_size_is_an_error() -> None:
    """For the bytes that are missing, and those beside them in one read; what came before is right."""
    source = written(CONTENT, len(CONTENT) + PAGE)

    assert read(source, 0, 3 * MIB) == CONTENT[: 3 * MIB]
    with pytest.raises(LostError, match=f"ended at byte {len(CONTENT)} of {len(CONTENT) + PAGE}") as failure:
        read(source, 3 * MIB, PAGE)
    assert failure.value.errno == errno.EIO
    source.close()


def test_a_pipe_that_goes_on_after_its_size_is_noticed() -> None:
    """Its readers have what they were promised."""
    source, end = open_pipe(PAGE)
    os.write(end, bytes(PAGE))
    read(source, 0, PAGE)

    assert not source.surplus()
    os.write(end, b"x")
    assert source.surplus()
    source.close()
    os.close(end)


@pytest.mark.parametrize(
    ("size", "length"), [(ANY_SIZE, PAGE), (len(CONTENT), 1234)], ids=["unknown", "known"]
)
def test_a_program_that_fails_makes_its_last_bytes_an_error(size: int, length: int) -> None:
    """Its output may look complete: its exit code counts, whether or not the size was known."""
    source = written(CONTENT, size)
    source.why = lambda: "xz ended with code 1"
    read(source, 0, 3 * MIB)

    with pytest.raises(LostError, match="xz ended with code 1"):
        read(source, 3 * MIB, length)
    source.close()


def test_a_program_has_succeeded_before_its_last_byte_is_given() -> None:
    """The last read waits for the end of the output; those before do not."""
    source, end = open_pipe(2 * PAGE)
    asked: list[str] = []
    source.why = lambda: asked.append("asked")
    os.write(end, bytes(2 * PAGE))

    assert source.prefetch(0, PAGE) == PAGE
    assert source.prefetch(0, 2 * PAGE) < 2 * PAGE
    assert asked == []
    os.close(end)
    assert source.prefetch(0, 2 * PAGE) == 2 * PAGE
    assert read(source, 0, 2 * PAGE) == bytes(2 * PAGE)
    assert asked == ["asked"]
    source.close()


def test_a_silent_pipe_gives_what_has_come() -> None:
    """A read ahead does not wait for what may never come, and nothing is lost by it."""
    source, end = open_pipe()
    os.write(end, CONTENT[:100])

    assert source.prefetch(0, PAGE) == 100
    os.write(end, CONTENT[100:PAGE])
    assert source.prefetch(0, PAGE) == PAGE
    assert read(source, 0, PAGE) == CONTENT[:PAGE]
    assert source.arrived == PAGE
    source.close()
    os.close(end)


def test_closing_ends_a_read_that_waits() -> None:
    """A pipe that hangs keeps no thread."""
    source, end = open_pipe()
    errors: list[OSError] = []

    def wait() -> None:
        try:
            read(source, 0, PAGE)
        except LostError as error:
            errors.append(error)

    waits = threading.Thread(target=wait)
    waits.start()
    source.close()
    waits.join(10)

    assert [errno.EIO] == [error.errno for error in errors]
    os.close(end)


def test_closing_it_in_one_process_leaves_it_to_the_other() -> None:
    """A command closes the pipe that its daemon, a child, goes on reading."""
    source, end = open_pipe()
    pid = os.fork()
    if pid == 0:
        os.close(end)
        os._exit(0 if read(source, 0, PAGE) == bytes(PAGE) else 1)
    source.close()
    os.write(end, bytes(PAGE))
    os.close(end)

    assert os.waitpid(pid, 0)[1] == 0


def test_a_fifo_is_opened_without_a_writer(tmp_path: Path) -> None:
    """It is silent until one comes, and does not seem to be empty."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    source = PipeSource.open(str(fifo), None)

    assert source.prefetch(0, PAGE) == 0
    assert source.size == ANY_SIZE
    end = os.open(fifo, os.O_WRONLY)
    os.write(end, b"now")
    os.close(end)
    assert source.prefetch(0, PAGE, None) == 3
    assert read(source, 0, 3) == b"now"
    source.close()


def test_a_fifo_that_is_not_there(tmp_path: Path) -> None:
    """One line, with its name."""
    with pytest.raises(UnusableError, match=r"the source .*/none can't be read: no such file"):
        PipeSource.open(str(tmp_path / "none"), None)
