"""Programs as sources: their output, and how they have ended."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from fanoutfs.errors import UnusableError
from fanoutfs.source.contract import LostError
from fanoutfs.source.program_output import ProgramOutput
from fanoutfs.units import PAGE
from tests.adapter.test_supervisor import see_end
from tests.pipes import read

Start = Callable[..., ProgramOutput]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start shell scripts in a row; at the end they, and their supervisor, have ended."""
    with ExitStack() as stack:

        def begin(*scripts: str, size: int | None = None, first: int | None = None) -> ProgramOutput:
            commands = [["sh", "-c", script] for script in scripts]
            output = ProgramOutput.start("x.xz", "image-x", commands, size=size, first=first)
            stack.callback(see_end, output._supervisor.pid)
            stack.callback(output.close)
            return output

        yield begin


def test_the_output_of_programs_in_a_row(start: Start) -> None:
    """The first reads the descriptor that it is given."""
    reading, writing = os.pipe()
    os.write(writing, b"abc" * 2000)
    os.close(writing)
    output = start("cat", "tr a A", "tr b B", first=reading, size=6000)
    os.close(reading)

    assert read(output, 0, PAGE) == (b"ABc" * 2000)[:PAGE]
    assert read(output, PAGE, 6000 - PAGE) == (b"ABc" * 2000)[PAGE:]
    with pytest.raises(LostError, match=r"byte 0 of the pipe x\.xz has been read"):
        read(output, 0, PAGE)


FILLED = "head -c 8192 /dev/zero"


@pytest.mark.parametrize("size", [8192, None])
@pytest.mark.parametrize(
    ("scripts", "why"),
    [
        ((f"{FILLED}; echo 'sh: (stdin): Data is corrupt' >&2; exit 1",), "sh: Data is corrupt"),
        ((f"{FILLED}; exit 3",), "sh: it has ended with code 3"),
        ((f"{FILLED}; kill -9 $$",), "sh: it was ended by signal 9"),
        ((f"{FILLED}; echo 'sh: 404' >&2; exit 22", "cat; echo 'sh: end of input' >&2; exit 1"), "sh: 404"),
        (("exec yes", f"{FILLED}; echo 'sh: broken' >&2; exit 1"), "sh: broken"),
    ],
)  # fmt: skip
def test_a_program_that_fails_after_its_output(
    start: Start, scripts: tuple[str, ...], why: str, size: int | None
) -> None:
    """Its last bytes are an error, however complete it looks: what came before may be wrong."""
    output = start(*scripts, size=size)
    read(output, 0, PAGE)

    with pytest.raises(LostError, match=why):
        read(output, PAGE, 2 * PAGE if size is None else PAGE)


def test_a_program_that_succeeds(start: Start) -> None:
    """All of its output can be read, and its end is known."""
    output = start(FILLED)
    output.require_disk("x.xz")
    read(output, 0, 8192)

    assert output.prefetch(8192, PAGE) == 0
    assert (output.size, output.trouble) == (8192, None)


@pytest.mark.parametrize(
    ("script", "size", "why"),
    [
        ("exit 0", None, "the source x.xz can't be read: it is empty"),
        ("echo 'sh: not in gzip format' >&2; exit 1", None, "can't be read: sh: not in gzip format"),
        ("echo 'sh: not in gzip format' >&2; exit 1", 8192, "can't be read: sh: not in gzip format"),
        (r"printf 'QFI\373\0\0\0\3'; head -c 4096 /dev/zero", None,
         "the source x.xz holds a qcow2 image, not a disk; unpack it first"),
        (r"head -c 257 /dev/zero; printf 'ustar\0'; head -c 4096 /dev/zero", 4359,
         "the source x.xz holds a tar archive, not a disk; unpack it first"),
    ],
)  # fmt: skip
def test_an_output_that_is_no_disk(start: Start, script: str, size: int | None, why: str) -> None:
    """It is refused before anything is written."""
    output = start(script, size=size)
    with pytest.raises(UnusableError, match=why):
        output.require_disk("x.xz")


def test_a_program_that_is_not_installed() -> None:
    """It is named."""
    output = ProgramOutput.start("x.xz", "image-x", [["nounpack"]], size=None)
    with pytest.raises(UnusableError, match="can't be read: nounpack is not installed"):
        output.require_disk("x.xz")
    output.close()
    see_end(output._supervisor.pid)
