"""What names a pipe, and what is refused of one, before anything is read."""

import lzma
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from fanoutfs.errors import FanoutError, UnusableError, UsageError
from fanoutfs.remote.remote_keys import RemoteKeys
from fanoutfs.remote.resolve import ResolvedSource, resolve
from fanoutfs.settings import SourceSettings
from fanoutfs.source.local import PositionedSource
from fanoutfs.source.pipe_source import PipeSource
from fanoutfs.source.spool import Spool
from fanoutfs.units import PAGE


def found(argument: str | Path, **how: object) -> ResolvedSource:
    return resolve(str(argument), RemoteKeys(), SourceSettings(**how))  # type: ignore[arg-type]


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.fixture
def stdin() -> Iterator[int]:
    """Keep this process's standard input; yield a pipe's end to write, whose other end it is."""
    kept = os.dup(0)
    reads, writes = os.pipe2(os.O_CLOEXEC)
    os.dup2(reads, 0)
    os.close(reads)
    yield writes
    os.dup2(kept, 0)
    os.close(kept)


def test_a_fifo_is_a_pipe_that_is_not_opened_before_it_is_read(fifo: Path) -> None:
    """A writer would end when it was closed again; two names have one identity."""
    one = found(fifo)
    link = fifo.with_name("link")
    link.symlink_to(fifo)

    assert (one.once, one.size, one.path) == (True, None, str(fifo))
    assert one.identity == found(link).identity
    with pytest.raises(OSError, match="No such device or address"):
        os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    opened = one.open()
    assert isinstance(opened.source, PipeSource)
    os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    opened.source.close()


def test_a_spool_is_made_for_any_source(fifo: Path, tmp_path: Path) -> None:
    """Around the pipe, or around the file."""
    file = tmp_path / "file"
    file.write_bytes(bytes(PAGE))
    for path, kind in ((fifo, PipeSource), (file, PositionedSource)):
        source = found(path, spool=tmp_path).open().source
        assert isinstance(source, Spool)
        assert isinstance(source.source, kind)
        source.close()


def test_standard_input_that_is_a_pipe(stdin: int) -> None:
    """It is taken over, so that its writer sees when it is closed; its size is the one that was given."""
    os.write(stdin, b"x")
    source = found("-", size=PAGE).open().source

    assert (source.path, source.size) == ("-", PAGE)
    assert Path("/proc/self/fd/0").samefile(os.devnull)
    source.close()
    with pytest.raises(BrokenPipeError):
        os.write(stdin, b"y")
    os.close(stdin)


def test_standard_input_that_is_a_file(stdin: int, tmp_path: Path) -> None:
    """It is that file, from its beginning, and a warning says so where it was read on."""
    os.close(stdin)
    file = tmp_path / "file"
    file.write_bytes(bytes(PAGE))
    with file.open("rb", buffering=0) as read_on:
        os.dup2(read_on.fileno(), 0)
    plain = found("-")
    os.lseek(0, 10, os.SEEK_SET)

    assert (plain.path, plain.warning, plain.once) == (str(file), None, False)
    assert "read from its beginning, not from byte 10" in (found("-").warning or "")


@pytest.mark.parametrize("raw", [False, True])
def test_a_pipe_with_a_compressed_image(stdin: int, *, raw: bool) -> None:
    """It is not copied as it lies, unless that is asked for."""
    os.write(stdin, lzma.compress(bytes(PAGE)))
    os.close(stdin)
    if raw:
        found("raw:-").open().source.close()
        return
    with pytest.raises(UnusableError, match="standard input is an xz image, and a pipe is read as it lies"):
        found("-").open()


def test_an_empty_pipe(stdin: int) -> None:
    """That is known before anything is done with it; its first byte is waited for."""
    Thread(target=os.close, args=(stdin,)).start()

    with pytest.raises(UnusableError, match="the source - is empty"):
        found("-").open()


@pytest.mark.parametrize(
    ("is_fifo", "how", "error", "line"),
    [
        (False, {"size": PAGE}, UsageError, "--size is for a pipe"),
        (True, {"only": "map"}, UsageError, "--only can't be used with a pipe"),
        (True, {"prefix": "qcow2"}, UnusableError, "which can't be read as qcow2"),
    ],
    ids=["the size of a file", "a part of a pipe", "a format that needs any place"],
)
def test_what_does_not_fit_the_source(
    is_fifo: bool, how: dict[str, object], error: type[FanoutError], line: str, fifo: Path, tmp_path: Path
) -> None:
    """One line, before it is opened."""
    file = tmp_path / "file"
    file.write_bytes(bytes(PAGE))
    name = str(fifo if is_fifo else file)
    if prefix := how.pop("prefix", ""):
        name = f"{prefix}:{name}"

    with pytest.raises(error, match=line):
        found(name, **how)
